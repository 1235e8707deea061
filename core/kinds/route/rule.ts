/** One rule of a route: which calls it takes, and what it does with them. */
import { stalenessMsMax, stalenessMsMin, timeoutMsMax } from "../../snapshot/grammar.js";
import { maybe, optional, type RecordOf, record } from "../record.js";
import { duration, oneOf } from "../types.js";
import { hedge, retry } from "./attempts.js";
import { fault, rewrite, routeHeaders } from "./changes.js";
import { routeMatch, sticky } from "./match.js";
import { mirror, renderTarget, split } from "./targets.js";

const rule = {
  match: maybe(1, routeMatch, "Which calls it is for; left out: all."),
  /** Weighted targets; empty: all versions equally. */
  split: optional(2, split, [], "Weighted versions, or labels; left out: every version alike."),
  /** How long a call may take, in milliseconds; 0: no limit. */
  timeoutMs: optional(
    3,
    duration({
      bounds: "at most 24h",
      msMin: 1,
      msMax: timeoutMsMax,
      whenShort: "leave it out for no timeout",
      zeroIsNone: true,
    }),
    0,
    "Upper bound for the whole call.",
    { name: "timeout" },
  ),
  /** The most milliseconds since the caller's proxy last learned the heads of the logs; left out: any age. */
  maxStalenessMs: maybe(
    4,
    duration({
      bounds: "from 10s to 24h",
      msMin: stalenessMsMin,
      msMax: stalenessMsMax,
      whenShort: "statements about the heads of the logs come every 3s, and one may be lost",
    }),
    "So long after the last statement about the heads of the logs the caller's proxy counts as stale.",
    { name: "maxStaleness" },
  ),
  /**
   * What happens to calls above that age: "keep" lets them go on, "fail" answers them 14. Present exactly if
   * `maxStalenessMs` is.
   */
  onStale: maybe(
    5,
    oneOf({ keep: 1, fail: 2 }),
    "What becomes of calls then: fail (the default) answers 14, keep lets them go on.",
  ),
  sticky: maybe(6, sticky, "Keeps a user on one side of a split while its weights change."),
  retry: maybe(7, retry, "When a call is tried again."),
  mirror: maybe(8, mirror, "Where copies of calls go; their answers are thrown away."),
  /** What happens if a target has no instance; left out: "spill". */
  whenEmpty: maybe(
    9,
    oneOf({ spill: 1, fail: 2 }),
    "What becomes of the share of a target without healthy instances: spill (the default) gives it to the other targets of the split, fail answers 14.",
  ),
  rewrite: maybe(10, rewrite, "Lets a method move: the call goes on under another name, which its destination judges."),
  hedge: maybe(11, hedge, "Tries a call a second time before the first has failed; idempotent methods only."),
  headers: maybe(12, routeHeaders, "Headers that are set, added and removed."),
  fault: maybe(13, fault, "Faults that are made on purpose, for tests."),
};

/** One rule of a route. */
export interface RouteRule extends RecordOf<typeof rule> {}

/** A contradiction within a rule: the field, and why it cannot be. */
interface Contradiction {
  readonly at: string;
  readonly message: string;
}

function contradictions({
  match,
  split: targets,
  sticky: stays,
  whenEmpty,
  mirror: copy,
  hedge: beside,
  retry: again,
  rewrite: to,
}: RecordOf<typeof rule>): readonly Contradiction[] {
  const found: Contradiction[] = [];
  const say = (at: string, message: string) => found.push({ at, message });
  if (targets.length === 0 && stays !== undefined)
    say("sticky", "sticky keeps calls on one side of a split, and there is no split");
  if (targets.length === 0 && whenEmpty !== undefined)
    say("whenEmpty", "whenEmpty is about the targets of a split, and there is no split");
  if (beside !== undefined && again !== undefined) say("hedge", "hedge and retry exclude each other; keep one of them");
  const used = targets.filter(({ weight }) => weight > 0).map(renderTarget);
  if (copy !== undefined && used.length === 1 && used[0] === renderTarget(copy))
    say("mirror", `the mirror goes where every call goes already: ${used[0]}`);
  const methods = match?.methods ?? [];
  if (to !== undefined && methods.length === 1 && methods[0] === to.method)
    say("rewrite", "the method has this name already");
  return found;
}

export const routeRule = record("a rule", rule, {
  refine(found, field, reading) {
    const place = reading.places.get(`${field}.onStale`);
    if (place !== undefined && found.maxStalenessMs === undefined && !reading.places.has(`${field}.maxStaleness`))
      reading.report(place, "onStale says what becomes of calls after maxStaleness, which is missing");
    for (const { at, message } of contradictions(found)) {
      const where = reading.places.get(`${field}.${at}`) ?? reading.places.get(field);
      if (where !== undefined) reading.report(where, message);
    }
    const { onStale = "fail", whenEmpty, ...rest } = found;
    const said = whenEmpty === "fail" ? { ...rest, whenEmpty } : rest; // "spill" is the default and has no bytes
    return found.maxStalenessMs === undefined ? said : { ...said, onStale };
  },
  why: (value) =>
    (value.maxStalenessMs === undefined) === (value.onStale === undefined)
      ? contradictions(value)[0]?.message
      : "maxStaleness and onStale go together",
});
