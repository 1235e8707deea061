/** The parts of a response that an outcome stores. */
import type { JournalPlan } from "../../core/journal/plan.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import { type AppResponse, emptyResponse } from "./app-attempt.js";
import type { Hiding } from "./hide.js";

/** The application's own response to this call. */
export interface Told {
  readonly kind: "response";
  readonly sequence: number;
  readonly response: AppResponse;
}

/** The response that is recorded for a write that was not forwarded. */
export const notForwardedResponse: AppResponse = { code: 14, head: [], trailers: [], ...emptyResponse };

type Kept = "code" | "head" | "trailers" | "response" | "responseDigest" | "responseBytes" | "private";

/** Returns the part of an outcome about the application's answer. `hiding`: cuts private fields out of it. */
export function keptOf(
  { code, head, trailers, bytes, digest, length }: AppResponse,
  { keepsResponse, responseBytesMax }: Pick<JournalPlan, "keepsResponse" | "responseBytesMax">,
  hiding: Hiding | undefined,
): Pick<JournalOutcome, Kept> {
  const response = keepsResponse && length <= responseBytesMax ? bytes : undefined;
  const kept = { response, responseDigest: digest, responseBytes: length };
  return { code, head, trailers, ...(hiding === undefined ? kept : hiding.response(kept, bytes)) };
}
