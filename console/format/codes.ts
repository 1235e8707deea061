/** Words for the contract's codes and enums. */

/** The names of gRPC's status codes, by number. */
const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export const renderCode = (code: number): string => codeNames[code] ?? `code ${code}`;

export type Tone = "plain" | "ok" | "warn" | "bad" | "accent" | "note";

const refusals: readonly number[] = [7, 8, 16];

export function toneOfCode(code: number): Tone {
  if (code === 0) return "ok";
  return refusals.includes(code) ? "bad" : "warn";
}

/** Returns a word for a proxy's verdict, and the tone to show it in. */
export function renderVerdict(verdict: string): { readonly word: string; readonly tone: Tone } {
  switch (verdict) {
    case "VERDICT_ALLOWED":
      return { word: "allowed", tone: "ok" };
    case "VERDICT_DENIED":
      return { word: "denied", tone: "bad" };
    case "VERDICT_UNAUTHENTICATED":
      return { word: "no valid token", tone: "bad" };
    case "VERDICT_LIMITED":
      return { word: "over a limit", tone: "warn" };
    case "VERDICT_ROUTED":
      return { word: "routed", tone: "ok" };
    case "VERDICT_UNROUTED":
      return { word: "no endpoint", tone: "warn" };
    default:
      return { word: "unknown", tone: "plain" };
  }
}
