/** Counts of similar refusals in batches of decisions. */
import type { RefusalCount as CountMessage } from "../../proto/gen/ashlar/v1/decision.js";
import type { RefusalCount } from "../decision/decision-record.js";
import { parseSpiffeId, type SpiffeId } from "../identity.js";
import { boundedText, integer } from "./bounds.js";
import { parseVerdict, verdictOf } from "./verdicts.js";

export const ruleBytesMax = 512;
export const methodBytesMax = 8 * 1024;

/** The same callers appear again and again, so their parsed form is cached. */
const callersKnown = new Map<string, SpiffeId>();
const callersKnownMax = 1000;

export function parseCaller(text: string): SpiffeId {
  const known = callersKnown.get(text);
  if (known !== undefined) return known;
  const parsed = parseSpiffeId(text);
  if (callersKnown.size >= callersKnownMax) callersKnown.clear();
  callersKnown.set(text, parsed);
  return parsed;
}

/** Returns the message of counted refusals. */
export function renderCount(count: RefusalCount): CountMessage {
  return { ...count, calledMethod: count.calledMethod ?? "", verdict: verdictOf[count.verdict] };
}

/** Parses counted refusals; fails with `invalid_record`. */
export function parseCount(message: CountMessage): RefusalCount {
  return {
    caller: message.caller === "" ? "" : parseCaller(message.caller),
    method: boundedText("counted.method", message.method, methodBytesMax),
    ...(message.calledMethod === ""
      ? {}
      : { calledMethod: boundedText("counted.called_method", message.calledMethod, methodBytesMax) }),
    rule: boundedText("counted.rule", message.rule, ruleBytesMax),
    verdict: parseVerdict(message.verdict),
    revision: integer("counted.revision", message.revision, 0),
    count: integer("counted.count", message.count, 1),
    fromMs: integer("counted.from_ms", message.fromMs, 0),
    untilMs: integer("counted.until_ms", message.untilMs, 0),
  };
}
