/**
 * Decides which refusals are recorded one by one and which are only counted, so that a flood of refusals does not fill
 * the record.
 */
import type { RefusalCount } from "../../core/decision/decision-record.js";

export interface Refusal {
  readonly caller: string;
  readonly method: string;
  /** The method that the caller asked for, if a route rewrote it to `method`. */
  readonly calledMethod?: string | undefined;
  readonly rule: string;
  readonly verdict: RefusalCount["verdict"];
  readonly revision: number;
}

export interface RefusalLimits {
  readonly windowMs: number;
  /** The most refusals recorded per window: for one caller, method and rule; for one caller; for all. */
  readonly alikeMax: number;
  readonly callerMax: number;
  readonly allMax: number;
  /** How many groups the counts distinguish. */
  readonly groupsMax: number;
}

export const refusalLimits: RefusalLimits = {
  windowMs: 10_000,
  alikeMax: 20,
  callerMax: 100,
  allMax: 200,
  groupsMax: 64,
};

type Group = { -readonly [Field in keyof RefusalCount]: RefusalCount[Field] };

export class RefusalMeter {
  readonly #limits: RefusalLimits;
  readonly #alike = new Map<string, number>();
  readonly #callers = new Map<string, number>();
  #all = 0;
  #windowEndsMs = Number.NEGATIVE_INFINITY;
  readonly #groups = new Map<string, Group>();

  constructor(limits: RefusalLimits = refusalLimits) {
    this.#limits = limits;
  }

  /**
   * Returns true if this refusal is recorded individually. Otherwise it is counted. `source`: the name under which
   * refusals are limited together.
   */
  admit(refusal: Refusal, nowMs: number, source: string = refusal.caller): boolean {
    const { windowMs, alikeMax, callerMax, allMax } = this.#limits;
    if (nowMs >= this.#windowEndsMs || nowMs < this.#windowEndsMs - windowMs) this.#beginWindow(nowMs + windowMs);
    const { method, rule } = refusal;
    const key = `${source} ${method} ${rule}`;
    const alike = this.#alike.get(key) ?? 0;
    const ofCaller = this.#callers.get(source) ?? 0;
    if (this.#all >= allMax || ofCaller >= callerMax || alike >= alikeMax) {
      this.count(refusal, nowMs);
      return false;
    }
    this.#all++;
    this.#alike.set(key, alike + 1);
    this.#callers.set(source, ofCaller + 1);
    return true;
  }

  /** Counts a refusal in its group, or in the group of all others if there are too many groups. */
  count({ caller, method, calledMethod, rule, verdict, revision }: Refusal, nowMs: number): void {
    const own = `${caller} ${method} ${calledMethod ?? ""} ${rule} ${verdict} ${revision}`;
    const isTold = this.#groups.has(own) || this.#groups.size < this.#limits.groupsMax;
    const key = isTold ? own : `${verdict} ${revision}`;
    const group = this.#groups.get(key);
    if (group === undefined) {
      const called = calledMethod === undefined ? {} : { calledMethod };
      const about = isTold ? { caller, method, ...called, rule } : { caller: "", method: "", rule: "" };
      this.#groups.set(key, { ...about, verdict, revision, count: 1, fromMs: nowMs, untilMs: nowMs });
    } else {
      group.count++;
      group.untilMs = Math.max(group.untilMs, nowMs);
    }
  }

  get hasCounts(): boolean {
    return this.#groups.size > 0;
  }

  /** Returns the counts since they were last taken. */
  takeCounts(): readonly RefusalCount[] {
    const counts = [...this.#groups.values()];
    this.#groups.clear();
    return counts;
  }

  #beginWindow(endsMs: number): void {
    this.#alike.clear();
    this.#callers.clear();
    this.#all = 0;
    this.#windowEndsMs = endsMs;
  }
}
