/** The key of a call in a limit, which selects the budget that the call draws on. */
import { createHash } from "node:crypto";
import type { LimitKeyPart } from "../kinds/rate-limit/rate-limit.js";
import type { CallInputs } from "../policy/condition/frame.js";
import { isList, type Value } from "../policy/condition/values.js";

/** The values of a call that a key can be made of. */
export interface LimitedCall {
  readonly caller: string;
  /** "package.Service/Method". */
  readonly method: string;
  /** The headers and claims of the call. */
  readonly inputs: Pick<CallInputs, "header" | "claims">;
}

/** The key of a missing header or claim. No present value can be equal to it. */
const absent = "\0";
/**
 * The most characters of a value in a key. Longer values are replaced by their digest, so that a table of keys has a
 * bound in bytes too.
 */
const valueLengthMax = 128;

/** Returns the key of a call. Two calls have equal texts exactly if they have the same key. */
export type KeyOf = (call: LimitedCall) => string;

export function compileKey(per: readonly LimitKeyPart[]): KeyOf {
  const parts = per.map(compilePart);
  const [first, second] = parts;
  if (first === undefined) return () => "";
  if (second === undefined) return first;
  return (call) => {
    let key = "";
    for (const part of parts) {
      const value = part(call);
      key += `${value.length}:${value}`;
    }
    return key;
  };
}

function compilePart(part: LimitKeyPart): KeyOf {
  if (part === "caller") return (call) => call.caller;
  if (part === "method") return (call) => call.method;
  const name = part.slice(part.indexOf(":") + 1);
  if (part.startsWith("header:")) return ({ inputs }) => valueText(inputs.header(name));
  return ({ inputs }) => valueText(claimText(inputs.claims?.get(name)));
}

function valueText(value: string | undefined): string {
  if (value === undefined) return absent;
  if (value.length > valueLengthMax) return `\0#${createHash("sha256").update(value).digest("base64url")}`;
  return value.startsWith(absent) ? `${absent}${value}` : value;
}

/** Returns the text of a claim: several values joined with ",". A map, null or a missing claim counts as absent. */
function claimText(value: Value | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (isList(value)) {
    const texts = value.map(claimText);
    return texts.some((text) => text === undefined) ? undefined : texts.join();
  }
  if (typeof value === "string") return value;
  return typeof value === "object" ? undefined : String(value);
}
