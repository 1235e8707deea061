/** The calls of the last ten seconds as proxies count them, by caller, service, method and version. Pure: time is handed in. */
import {
  callBoundsMs,
  codesCount,
  isFailureStatus,
  isRefusalStatus,
  otherCalls,
  type TrafficCounts,
} from "../../core/look/look-model.js";
import type { FleetWriter } from "../../core/wire/fleet.js";

const windowMsMax = 10_000;
const slotMs = 1000;
/** The most kinds of calls that are told apart on each side; what comes above is counted as `other`. */
const kindsMax = 5000;

/** What was counted of one kind within a second. */
interface Counted {
  readonly codes: ArrayLike<number>;
  readonly took: ArrayLike<number>;
  readonly calls: number;
  readonly streams: number;
}

/** Calls of one kind, as one side counted them. */
interface Sum extends Counted {
  readonly outbound: boolean;
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  /** Caller and service. */
  readonly edge: string;
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
  /** Status and number in turns. */
  readonly codes: readonly number[];
  /** Counted by the called service's proxies. */
  readonly calledSide: boolean;
}

export class TrafficWindow {
  readonly #startedMs: number;
  readonly #totals = new Map<string, Sum>();
  #slots: { readonly atMs: number; readonly sums: Map<string, Counted | Sum> }[] = [];

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** Takes in what a proxy counted. */
  take({ service }: FleetWriter, counts: readonly TrafficCounts[], nowMs: number): void {
    const slot = this.#slotAt(nowMs);
    for (const one of counts) {
      const { outbound, other, method, version } = one;
      const names = { caller: outbound ? service : other, service: outbound ? other : service, method, version };
      this.#add(slot, { outbound, ...names }, one);
    }
  }

  /** The milliseconds that are counted. */
  windowMs(nowMs: number): number {
    return Math.min(windowMsMax, nowMs - this.#startedMs);
  }

  /** Those with the most calls first. */
  read(nowMs: number): readonly TrafficPair[] {
    this.#drop(nowMs);
    const calledSide = this.#toldByCalled();
    return [...this.#totals.values()]
      .filter((sum) => sum.outbound !== calledSide.has(sum.edge))
      .map(pairOf)
      .sort((a, b) => b.calls - a.calls);
  }

  /**
   * Edges whose called proxies know of more calls than the streams that the callers' proxies opened: some callers do
   * not tell, as those of an earlier version.
   */
  #toldByCalled(): ReadonlySet<string> {
    const edges = new Map<string, { streams: number; calls: number }>();
    for (const sum of this.#totals.values()) {
      let edge = edges.get(sum.edge);
      if (edge === undefined) {
        edge = { streams: 0, calls: 0 };
        edges.set(sum.edge, edge);
      }
      if (sum.outbound) edge.streams += sum.streams;
      else edge.calls += sum.calls;
    }
    const more = [...edges].filter(([, { streams, calls }]) => calls > streams * 1.2 + 2);
    return new Set([...more].map(([edge]) => edge));
  }

  #add(slot: Map<string, Counted | Sum>, names: Names, counts: TrafficCounts): void {
    let key = keyOf(names);
    let named = names;
    if (!this.#totals.has(key) && this.#totals.size >= kindsMax) {
      named = { ...names, caller: otherCalls, service: otherCalls, method: otherCalls, version: "" };
      key = keyOf(named);
    }
    let calls = 0;
    for (let code = 0; code < codesCount; code++) calls += counts.codes[code] ?? 0;
    const { codes, took, streams } = counts;
    const counted: Counted = { codes, took, streams, calls };
    addTo(this.#totals, key, named, counted);
    // Most kinds are told by one proxy, so that a second keeps what came as it came.
    const before = slot.get(key);
    if (before === undefined) slot.set(key, counted);
    else if ("method" in before) increase(before, counted);
    else slot.set(key, increase(increase(nothing(named), before), counted));
  }

  #slotAt(nowMs: number): Map<string, Counted | Sum> {
    this.#drop(nowMs);
    const last = this.#slots.at(-1);
    if (last !== undefined && nowMs - last.atMs < slotMs) return last.sums;
    const slot = { atMs: nowMs, sums: new Map<string, Counted | Sum>() };
    this.#slots.push(slot);
    return slot.sums;
  }

  #drop(nowMs: number): void {
    while (this.#slots[0] !== undefined && nowMs - this.#slots[0].atMs >= windowMsMax)
      for (const [key, sum] of this.#slots.shift()?.sums ?? []) this.#subtract(key, sum);
  }

  #subtract(key: string, { codes, took, calls, streams }: Counted): void {
    const total = this.#totals.get(key);
    if (total === undefined) return;
    total.calls -= calls;
    total.streams -= streams;
    for (let code = 0; code < codesCount; code++) (total.codes[code] as number) -= codes[code] ?? 0;
    for (let at = 0; at < total.took.length; at++) (total.took[at] as number) -= took[at] ?? 0;
    if (total.calls <= 0) this.#totals.delete(key);
  }
}

type Names = Omit<Sum, keyof Counted | "edge">;

const keyOf = ({ outbound, caller, service, method, version }: Names) =>
  `${outbound ? "o" : "i"}\0${caller}\0${service}\0${method}\0${version}`;

function addTo(sums: Map<string, Sum>, key: string, names: Names, counted: Counted): void {
  const sum = sums.get(key) ?? nothing(names);
  sums.set(key, increase(sum, counted));
}

/** Returns `sum`. */
function increase(sum: Sum, { codes, took, calls, streams }: Counted): Sum {
  for (let code = 0; code < codesCount; code++) (sum.codes[code] as number) += codes[code] ?? 0;
  for (let at = 0; at < sum.took.length; at++) (sum.took[at] as number) += took[at] ?? 0;
  sum.calls += calls;
  sum.streams += streams;
  return sum;
}

const nothing = (names: Names): Sum => ({
  ...names,
  edge: `${names.caller}\0${names.service}`,
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

/** Within the class that it falls in, calls are taken for evenly spread. */
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
