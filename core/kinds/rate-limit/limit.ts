/** One rate limit: a token bucket for each key. */

import { renderNearest } from "../../snapshot/nearest.js";
import { text as textShape } from "../../snapshot/shapes.js";
import { textSet } from "../list.js";
import { methodPatterns } from "../names.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";
import { type Type, writtenAs } from "../type.js";
import { oneOf, text, wholeNumber } from "../types.js";
import { costs } from "./costs.js";
import { defaultBurst, keyPartsMax, tokensMax, whyNotKeyPart } from "./limit-grammar.js";
import { rate } from "./rate.js";

/** A part of a limit's key. A name follows "claim:" and "header:". */
export type LimitKeyPart = "caller" | "method" | `claim:${string}` | `header:${string}`;

const keyNames = ["caller", "method", "service", "claim:NAME", "header:NAME"];
const writtenPart = textShape(
  '"caller", "method", "service", "claim:NAME" or "header:NAME"',
  "^(caller|method|service|claim:[A-Za-z0-9_.:/-]{1,128}|header:[a-z0-9_.-]{1,128})$",
  (value) => {
    const why = value === "service" ? undefined : whyNotKeyPart(value);
    return why === "" ? renderNearest(value, keyNames).replace(/^; /, "") : why;
  },
);
const keyPart = text({
  expected: "a part of a key",
  pattern: "",
  valid: (part) => whyNotKeyPart(part) === undefined,
}) as Type<string> as Type<LimitKeyPart>;
const per = textSet(writtenAs(keyPart, writtenPart as typeof keyPart.shape), {
  whenEmpty: "leave it out for one budget for the whole service",
  why: (parts) => (parts.length > keyPartsMax ? `at most ${keyPartsMax} parts make a key` : undefined),
});

const fields = {
  /** Sorted; empty: one key for all calls. */
  per: optional(
    1,
    per,
    [],
    "What makes a key, at most 4 parts; each key has a budget of its own. Left out, or service: one for the whole service.",
  ),
  /** The methods whose calls the limit counts, as in an authorization. Empty: all. */
  methods: optional(2, methodPatterns, [], "Which calls it is about; left out: all."),
  rate: required(
    undefined,
    rate,
    { tokens: 1, periodMs: 1000 },
    "Tokens that come back in a second, a minute or an hour.",
  ),
  /** The most tokens that a bucket can hold. */
  burst: optional(
    5,
    wholeNumber(1, tokensMax),
    0,
    "The most tokens that a key can have; left out: what comes back in a second, and the dearest call at least.",
  ),
  /** The cost of calls whose cost is not 1, sorted by method. If several patterns match, the most specific counts. */
  costs: optional(
    6,
    costs,
    [],
    "Tokens that a call takes, of the nearest pattern (method, service, all); 0 is free, left out: 1.",
    { name: "cost" },
  ),
  /** "proxy": each proxy has a budget of its own. "mesh": all proxies of the service share one budget. */
  scope: optional(
    7,
    oneOf({ proxy: 1, mesh: 2 }),
    "proxy",
    "proxy: each proxy has a budget. mesh: all proxies of the service share one.",
  ),
  /** What a proxy does while it is cut off from its peers. Present exactly if the scope is "mesh". */
  disconnected: maybe(
    8,
    oneOf({ share: 1, full: 2, closed: 3 }),
    "For scope mesh, what a proxy does that is cut off from NATS for 3 s: share (default) goes on with the share that it had, full takes the whole limit, closed refuses.",
  ),
};

export interface Limit extends RecordOf<typeof fields> {}

export const limit: Type<Limit> = record("a limit", fields, {
  refine(found, field, reading) {
    const { rate: stated, costs: dear, scope, disconnected, ...rest } = found;
    const place = reading.places.get(field) ?? { line: 1, column: 1, field };
    const burst = found.burst === 0 ? defaultBurst(stated, dear) : found.burst;
    for (const one of dear) {
      if (one.cost <= burst) continue;
      const at = reading.places.get(`${field}.cost`) ?? place;
      const message = `${JSON.stringify(one.method)} costs ${one.cost}, more than the burst of ${burst}: it would never pass`;
      reading.report(at, message);
    }
    if (scope === "proxy" && disconnected !== undefined) {
      const message = '"disconnected" is for the scope "mesh": with the scope "proxy" nothing is shared';
      reading.report(reading.places.get(`${field}.disconnected`) ?? place, message);
    }
    return {
      ...rest,
      per: found.per.filter((part) => (part as string) !== "service"),
      rate: stated,
      burst,
      costs: dear,
      scope,
      ...(scope === "mesh" ? { disconnected: disconnected ?? "share" } : {}),
    };
  },
  why({ burst, costs: dear, scope, disconnected }) {
    const never = dear.find(({ cost }) => cost > burst);
    if (never !== undefined) return `${never.method} costs ${never.cost}, more than the burst of ${burst}`;
    if ((scope === "mesh") === (disconnected !== undefined)) return undefined;
    return "disconnected is for the scope mesh, and has to be told there";
  },
});
