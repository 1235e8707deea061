/** A call that is only asked about, as conditions see it. */
import { AshlarError } from "../../core/errors.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";

/** As many as a proxy takes of a call. */
const headersMax = 128;

/** These headers, now, from nowhere, without a token. Fails with `invalid_argument` on too many. */
export function inputsAsAsked(
  headers: readonly { readonly name: string; readonly value: string }[],
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
    claims: undefined,
    destinationLabels: new Map(),
  };
}
