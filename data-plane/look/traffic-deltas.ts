/** Returns what a table of calls has counted since it was last read. */
import {
  callBoundsMs,
  codesCount,
  countsToldMax,
  otherCalls,
  type TrafficCounts,
  toldNameMax,
} from "../../core/look/look-model.js";
import { numberPlaces as place } from "../status/call-kind.js";
import { callerName, type KindCounts } from "../status/call-table.js";

const tookCount = callBoundsMs.length + 1;

export class TrafficDeltas {
  #before = new Map<string, Float64Array>();

  /**
   * Returns the calls that ended since `take` was last called, the most frequent kinds first. The first time: all
   * calls.
   */
  take(kinds: readonly KindCounts[]): readonly TrafficCounts[] {
    const now = new Map<string, Float64Array>();
    const counts: TrafficCounts[] = [];
    for (const kind of kinds) {
      const key = `${kind.direction}\0${kind.by}\0${kind.service}\0${kind.method}\0${kind.version}`;
      now.set(key, kind.numbers.slice());
      const since = countsSince(kind, this.#before.get(key));
      if (since !== undefined) counts.push(since);
    }
    this.#before = now;
    return fold(counts);
  }
}

/** Returns the difference to `before`. A kind that was removed to make room and came back counts from 0 again. */
function countsSince(kind: KindCounts, before: Float64Array | undefined): TrafficCounts | undefined {
  const { direction, by, service, method, version, numbers } = kind;
  const isAnew = before === undefined || callsIn(before) > callsIn(numbers);
  if (!isAnew && callsIn(before) === callsIn(numbers)) return undefined;
  const of = (at: number): number => (numbers[at] as number) - (isAnew ? 0 : (before[at] as number));
  const codes = Array.from({ length: codesCount }, (_, code) => of(code));
  if (codes.every((count) => count === 0)) return undefined;
  const outbound = direction === "outbound";
  return {
    outbound,
    other: (outbound ? service : callerName(by)).slice(0, toldNameMax),
    method: method.slice(0, toldNameMax),
    version,
    codes,
    took: Array.from({ length: tookCount }, (_, bucket) => of(place.took + bucket)),
    streams: of(place.streams),
  };
}

function callsIn(numbers: Float64Array): number {
  let calls = 0;
  for (let code = 0; code < codesCount; code++) calls += numbers[code] as number;
  return calls;
}

const callsOf = ({ codes }: TrafficCounts): number => codes.reduce((sum, count) => sum + count, 0);

/** Returns the kinds with the most calls, and all other kinds as one kind per direction. */
function fold(counts: readonly TrafficCounts[]): readonly TrafficCounts[] {
  const sorted = [...counts].sort((a, b) => callsOf(b) - callsOf(a));
  if (sorted.length <= countsToldMax) return sorted;
  const kept = sorted.slice(0, countsToldMax - 2);
  for (const outbound of [false, true]) {
    const rest = sorted.slice(kept.length).filter((one) => one.outbound === outbound);
    if (rest.length > 0) kept.push(rest.reduce(added, nothing(outbound)));
  }
  return kept;
}

const nothing = (outbound: boolean): TrafficCounts => ({
  outbound,
  other: otherCalls,
  method: otherCalls,
  version: "",
  codes: new Array<number>(codesCount).fill(0),
  took: new Array<number>(tookCount).fill(0),
  streams: 0,
});

function added(sum: TrafficCounts, one: TrafficCounts): TrafficCounts {
  const plus = (a: readonly number[], b: readonly number[]) => a.map((count, at) => count + (b[at] ?? 0));
  return {
    ...sum,
    codes: plus(sum.codes, one.codes),
    took: plus(sum.took, one.took),
    streams: sum.streams + one.streams,
  };
}
