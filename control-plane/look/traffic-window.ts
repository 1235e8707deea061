/**
 * The calls of the last ten seconds as proxies count them, by caller, service, method and version. Pure: time is handed
 * in.
 */
import {
  callBoundsMs,
  codesCount,
  isFailureStatus,
  isRefusalStatus,
  otherCalls,
  type TrafficCounts,
} from "../../core/look/look-model.js";
import type { FleetWriter } from "../../core/wire/fleet.js";

const windowMs = 10_000;
/** By how much the window may be longer: reads come a little later each time than they are due. */
const slackMs = 500;
/** The most entries on each side; further ones are added up as `other`. */
const kindsMax = 5000;

/** What was counted of one kind between two reads. */
interface Counted {
  readonly codes: ArrayLike<number>;
  readonly took: ArrayLike<number>;
  readonly calls: number;
  readonly streams: number;
}

/** All calls of a caller to a service, as both sides counted them. */
interface Edge {
  readonly name: string;
  /** The kinds of calls that it has. */
  kinds: number;
  /** Streams that the caller's proxies opened. */
  streams: number;
  /** Calls that the called service's proxies know of. */
  calls: number;
}

/** The calls of one entry, as one side counted them. */
interface Sum extends Counted {
  readonly outbound: boolean;
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  readonly edge: Edge;
  readonly codes: Float64Array;
  readonly took: Float64Array;
  calls: number;
  streams: number;
}

export interface TrafficPair {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  readonly calls: number;
  readonly refused: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Status codes and their counts in turns. */
  readonly codes: readonly number[];
  /** True if the called service's proxies counted the calls. */
  readonly calledSide: boolean;
}

interface Slot {
  readonly sinceMs: number;
  readonly sums: Map<string, Counted | Sum>;
}

export class TrafficWindow {
  readonly #totals = new Map<string, Sum>();
  readonly #edges = new Map<string, Edge>();
  /** One for each time between two reads, oldest first. */
  readonly #slots: Slot[] = [];
  #last: Slot;

  /** `nowMs`: when the first calls were counted. */
  constructor(nowMs: number) {
    this.#last = { sinceMs: nowMs, sums: new Map() };
    this.#slots.push(this.#last);
  }

  /** Takes in what a proxy counted since its last report. */
  take({ service }: FleetWriter, counts: readonly TrafficCounts[]): void {
    for (const one of counts) {
      const { outbound, other, method, version } = one;
      const names = { caller: outbound ? service : other, service: outbound ? other : service, method, version };
      this.#add({ outbound, ...names }, one);
    }
  }

  /**
   * The pairs, those with the most calls first, and the milliseconds that are counted. To be called as often as proxies
   * report: what comes between two reads leaves the window at one moment, so each proxy's reports in it are equally
   * many.
   */
  read(nowMs: number): { readonly windowMs: number; readonly pairs: readonly TrafficPair[] } {
    this.#drop(nowMs);
    const sinceMs = (this.#slots[0] ?? this.#last).sinceMs;
    this.#last = { sinceMs: nowMs, sums: new Map() };
    this.#slots.push(this.#last);
    const pairs: TrafficPair[] = [];
    for (const sum of this.#totals.values()) if (sum.outbound !== isToldByCalled(sum.edge)) pairs.push(pairOf(sum));
    pairs.sort((a, b) => b.calls - a.calls);
    return { windowMs: Math.max(0, nowMs - sinceMs), pairs };
  }

  #add(names: Names, counts: TrafficCounts): void {
    let calls = 0;
    for (let code = 0; code < codesCount; code++) calls += counts.codes[code] ?? 0;
    if (calls === 0) return;
    let key = keyOf(names);
    let total = this.#totals.get(key);
    if (total === undefined) {
      let named = names;
      if (this.#totals.size >= kindsMax) {
        named = { ...names, caller: otherCalls, service: otherCalls, method: otherCalls, version: "" };
        key = keyOf(named);
      }
      total = this.#totals.get(key) ?? this.#begin(key, named);
    }
    const { codes, took, streams } = counts;
    const counted: Counted = { codes, took, streams, calls };
    increase(total, counted);
    if (total.outbound) total.edge.streams += streams;
    else total.edge.calls += calls;
    // Most kinds are told by one proxy, so that a slot keeps what came as it came.
    const slot = this.#last.sums;
    const before = slot.get(key);
    if (before === undefined) slot.set(key, counted);
    else if ("method" in before) increase(before, counted);
    else slot.set(key, increase(increase(nothing(total, total.edge), before), counted));
  }

  #begin(key: string, names: Names): Sum {
    const name = `${names.caller}\0${names.service}`;
    const edge = this.#edges.get(name) ?? { name, kinds: 0, streams: 0, calls: 0 };
    if (edge.kinds === 0) this.#edges.set(name, edge);
    edge.kinds++;
    const sum = nothing(names, edge);
    this.#totals.set(key, sum);
    return sum;
  }

  #drop(nowMs: number): void {
    while (this.#slots[0] !== undefined && nowMs - this.#slots[0].sinceMs > windowMs + slackMs)
      for (const [key, sum] of this.#slots.shift()?.sums ?? []) this.#subtract(key, sum);
  }

  #subtract(key: string, { codes, took, calls, streams }: Counted): void {
    const total = this.#totals.get(key);
    if (total === undefined) return;
    total.calls -= calls;
    total.streams -= streams;
    const { edge } = total;
    if (total.outbound) edge.streams -= streams;
    else edge.calls -= calls;
    for (let code = 0; code < codesCount; code++) (total.codes[code] as number) -= codes[code] ?? 0;
    for (let at = 0; at < total.took.length; at++) (total.took[at] as number) -= took[at] ?? 0;
    if (total.calls > 0) return;
    this.#totals.delete(key);
    edge.kinds--;
    if (edge.kinds === 0) this.#edges.delete(edge.name);
  }
}

type Names = Pick<Sum, "outbound" | "caller" | "service" | "method" | "version">;

const keyOf = ({ outbound, caller, service, method, version }: Names) =>
  `${outbound ? "o" : "i"}\0${caller}\0${service}\0${method}\0${version}`;

/**
 * Whether the called service's proxies know of more calls than the streams that the callers' proxies opened: some
 * callers do not tell, as those of an earlier version.
 */
const isToldByCalled = ({ calls, streams }: Edge): boolean => calls > streams * 1.2 + 2;

/** Returns `sum`. */
function increase(sum: Sum, { codes, took, calls, streams }: Counted): Sum {
  for (let code = 0; code < codesCount; code++) (sum.codes[code] as number) += codes[code] ?? 0;
  for (let at = 0; at < sum.took.length; at++) (sum.took[at] as number) += took[at] ?? 0;
  sum.calls += calls;
  sum.streams += streams;
  return sum;
}

const nothing = ({ outbound, caller, service, method, version }: Names, edge: Edge): Sum => ({
  ...{ outbound, caller, service, method, version, edge },
  codes: new Float64Array(codesCount),
  took: new Float64Array(callBoundsMs.length + 1),
  calls: 0,
  streams: 0,
});

function pairOf({ caller, service, method, version, codes, took, calls, outbound }: Sum): TrafficPair {
  const told: number[] = [];
  let [refused, failed] = [0, 0];
  for (let code = 0; code < codes.length; code++) {
    const count = codes[code] as number;
    if (count === 0) continue;
    told.push(code, count);
    if (isRefusalStatus(code)) refused += count;
    if (isFailureStatus(code)) failed += count;
  }
  const [p50Ms, p99Ms] = [quantileMs(took, calls, 0.5), quantileMs(took, calls, 0.99)];
  const calledSide = !outbound;
  return { caller, service, method, version, calls, refused, failed, p50Ms, p99Ms, codes: told, calledSide };
}

/** Returns a quantile of the durations. Calls are assumed to be spread evenly within their class. */
function quantileMs(took: Float64Array, calls: number, share: number): number {
  const wanted = calls * share;
  let below = 0;
  for (let at = 0; at < took.length; at++) {
    const count = took[at] as number;
    const upTo = callBoundsMs[at];
    const from = callBoundsMs[at - 1] ?? 0;
    if (below + count >= wanted && count > 0)
      return upTo === undefined ? from : from + ((upTo - from) * (wanted - below)) / count;
    below += count;
  }
  return 0;
}
