/** The inputs of a call that an operator only asks about, for conditions. */
import { AshlarError } from "../../core/errors.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import type { ValueMap } from "../../core/policy/condition/values.js";
import { claimsOf } from "../../core/token/claims.js";

/** The most headers that a proxy accepts of a call. */
const headersMax = 128;

/** The token of a call that an operator asks about; `claims`: a JSON object, or "" for no token. */
export interface AskedToken {
  readonly claims: string;
  readonly tokenIssuer: string;
}

const claimsBytesMax = 8 * 1024;

/**
 * Returns inputs with these headers and claims, the present time and no address. Fails with `invalid_argument` if there
 * are too many headers, or claims that no token can have.
 */
export function inputsAsAsked(
  headers: readonly { readonly name: string; readonly value: string }[],
  token: AskedToken,
  nowMs: number,
): CallInputs {
  if (headers.length > headersMax)
    throw new AshlarError("invalid_argument", `headers: at most ${headersMax}, got ${headers.length}`);
  const values = new Map<string, string>();
  for (const { name, value } of headers) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return {
    header: (name) => values.get(name),
    sourceAddress: undefined,
    nowMs,
    claims: token.claims === "" ? undefined : parseClaims(token.claims),
    tokenIssuer: token.tokenIssuer === "" ? undefined : token.tokenIssuer,
    destinationLabels: new Map(),
  };
}

function parseClaims(text: string): ValueMap {
  const bytes = Buffer.byteLength(text);
  if (bytes > claimsBytesMax)
    throw new AshlarError("invalid_argument", `claims: ${bytes} bytes, at most ${claimsBytesMax}`);
  const claims = claimsOf(parseObject(text));
  if (claims === undefined) throw new AshlarError("invalid_argument", "claims: nested too deeply, or too many values");
  return claims;
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // the value is not JSON, so it is a text
  }
  throw new AshlarError("invalid_argument", "claims: expected a JSON object");
}
