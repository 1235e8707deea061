/**
 * Applies rate limits to recorded calls, in the order of their time, as proxies would have that began with full
 * budgets. Where not every call was recorded, the level of a budget is known only between two bounds; a verdict is
 * given where both bounds agree.
 */

import type { Limit, RateLimit } from "../kinds/rate-limit/rate-limit.js";
import { compileKey, type KeyOf, type LimitedCall } from "../limit/limit-key.js";
import { costOf, isAbout } from "../limit/limiter.js";
import {
  BudgetBounds,
  type LevelBounds,
  perhapsTake,
  surelyHas,
  surelyLacks,
  take,
  takeIfThere,
} from "./budget-bounds.js";

/** A recorded call, with what rate limits need of it. */
export interface MeteredCall {
  readonly proxyId: string;
  /** After the limits have read `inputs`, `inputs.unknown` names the values that were not recorded. */
  readonly call: LimitedCall & { readonly inputs: { readonly unknown: readonly string[] } };
  readonly timeMs: number;
  /** The number of calls that the record stands for, including itself; at least 1. */
  readonly weight: number;
}

/**
 * The verdict of the limits about a call. unknown: too little is known of a budget's level, or a value that makes the
 * budget's key was not recorded; `what` says which.
 */
export type LimitVerdict =
  | { readonly kind: "passed" }
  | { readonly kind: "limited"; readonly limit: string }
  | { readonly kind: "unknown"; readonly what: string };

/** Refusals that were counted and not recorded one by one. */
export interface MeteredRefusals {
  readonly proxyId: string;
  readonly call: MeteredCall["call"];
  readonly count: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

interface ReplayedLimit {
  readonly name: string;
  readonly limit: Limit;
  readonly keyOf: KeyOf;
  /** Buckets by proxy. A limit of scope mesh has one entry for all proxies. */
  readonly budgets: Map<string, BudgetBounds>;
}

/** A limit that is about a call, with the call's cost and the bucket that the call draws on. */
interface Met {
  readonly of: ReplayedLimit;
  readonly budgets: BudgetBounds;
  readonly cost: number;
  readonly level: LevelBounds;
}

/**
 * Returns the limit that surely refuses the call, or nearly all calls that the record stands for. Among several it is
 * the one with the longest wait, which is the one that proxies name. undefined: no limit surely refuses.
 */
function longestWait(met: readonly Met[], weight: number): Met | undefined {
  let [found, waitMs] = [undefined as Met | undefined, 0];
  for (const one of met) {
    const { level, cost, of } = one;
    if (!surelyLacks(level, cost * Math.max(1, weight * strayShare))) continue;
    const wait = ((cost - level.most) * of.limit.rate.periodMs) / of.limit.rate.tokens;
    if (found === undefined || wait > waitMs) [found, waitMs] = [one, wait];
  }
  return found;
}

const passed: LimitVerdict = { kind: "passed" };
const everyProxy = "";
/** The share of the calls behind one record that may come out differently from the recorded one. */
const strayShare = 0.05;
const plansMax = 10_000;

/** Replays the rate limits of one service. */
export class LimitReplay {
  readonly #limits: readonly ReplayedLimit[];
  readonly #plans = new Map<string, readonly ReplayedLimit[]>();

  constructor(rateLimits: readonly RateLimit[]) {
    this.#limits = rateLimits.flatMap(({ name, limits }) =>
      limits.map((limit, index) => ({
        name: `${name}/limits[${index}]`,
        limit,
        keyOf: compileKey(limit.per),
        budgets: new Map<string, BudgetBounds>(),
      })),
    );
  }

  /** Returns whether any limit is about calls of `method`. */
  isAbout(method: string): boolean {
    return this.#limitsOf(method).length > 0;
  }

  /** Returns the verdict of the limits about a call. Calls of one proxy must be passed in the order of their time. */
  call(metered: MeteredCall): LimitVerdict {
    const met = this.#meet(metered);
    if (!Array.isArray(met)) return met;
    this.#takeUnrecorded(met, metered.weight - 1); // these calls may have come before the recorded one
    const lacking = longestWait(met, metered.weight);
    const unsure = met.filter(({ level, cost }) => !surelyHas(level, cost));
    const [first] = unsure;
    if (first === undefined) for (const { level, cost } of met) take(level, cost);
    else if (lacking === undefined || metered.weight > 1)
      for (const one of met) {
        if (unsure.length === 1 && one === first) takeIfThere(one.level, one.cost, metered.weight);
        else perhapsTake(one.level, one.cost);
      }
    if (first === undefined) return passed;
    if (lacking !== undefined) return { kind: "limited", limit: lacking.of.name };
    return { kind: "unknown", what: `how much was left of ${first.of.name}` };
  }

  /** Takes the tokens of a call that the same limits judged when it happened. `hasPassed`: whether they let it pass. */
  callAsItWas(metered: MeteredCall, hasPassed: boolean): void {
    const met = this.#meet(metered);
    if (!Array.isArray(met)) return;
    if (hasPassed) for (const { level, cost } of met) take(level, cost);
    this.#takeUnrecorded(met, metered.weight - 1);
  }

  /** Allows for a call that may or may not have reached the limits. */
  perhapsCall(metered: MeteredCall): void {
    const met = this.#meet(metered);
    if (Array.isArray(met)) this.#takeUnrecorded(met, metered.weight);
  }

  /**
   * Returns how many of `count` similar calls at unknown times are over a limit whenever they came, and the name of
   * that limit.
   */
  refusals(metered: MeteredRefusals): { readonly limited: number; readonly limit: string } {
    const { count, fromMs, untilMs } = metered;
    const met = this.#meet({ ...metered, timeMs: fromMs, weight: count });
    let [limited, limit] = [0, this.#limitsOf(metered.call.method)[0]?.name ?? ""];
    if (!Array.isArray(met)) return { limited, limit };
    for (const { of, budgets, cost, level } of met) {
      const over = count - budgets.passedMax(cost, Math.max(0, untilMs - fromMs));
      if (over > limited) [limited, limit] = [over, of.name];
      level.least = 0;
      level.leastAtMs = Math.max(level.leastAtMs, untilMs);
    }
    return { limited, limit };
  }

  /** Notes that until `untilMs` an unknown number of calls to the proxy was not recorded. */
  blind(proxyId: string, untilMs: number): void {
    for (const one of this.#limits) this.#budgetsOf(one, proxyId).blind(untilMs);
  }

  /** Returns the limits about a call with their buckets, or why the buckets are not known. */
  #meet({ proxyId, call, timeMs }: MeteredCall): Met[] | (LimitVerdict & { readonly kind: "unknown" }) {
    const met: Met[] = [];
    let why: string | undefined;
    for (const of of this.#limitsOf(call.method)) {
      const budgets = this.#budgetsOf(of, proxyId);
      const key = of.keyOf(call);
      const [lack] = call.inputs.unknown;
      const level = lack === undefined ? budgets.touch(key, timeMs) : undefined;
      if (level !== undefined) met.push({ of, budgets, level, cost: costOf(of.limit, call.method) });
      else {
        budgets.blind(timeMs); // the call drew on a key that is not known
        why ??= lack ?? `in which order calls met ${of.name}`;
      }
    }
    if (why === undefined) return met;
    for (const { budgets } of met) budgets.blind(timeMs);
    return { kind: "unknown", what: why };
  }

  /** Allows for the unrecorded calls that a record stands for, which came at about its time. */
  #takeUnrecorded(met: readonly Met[], calls: number): void {
    if (calls > 0) for (const { level, cost } of met) perhapsTake(level, cost * calls);
  }

  #budgetsOf({ limit, budgets }: ReplayedLimit, proxyId: string): BudgetBounds {
    const name = limit.scope === "mesh" ? everyProxy : proxyId;
    const known = budgets.get(name) ?? new BudgetBounds(limit);
    budgets.set(name, known);
    return known;
  }

  #limitsOf(method: string): readonly ReplayedLimit[] {
    const known = this.#plans.get(method);
    if (known !== undefined) return known;
    if (this.#plans.size >= plansMax) this.#plans.clear();
    const found = this.#limits.filter(({ limit }) => isAbout(limit, method) && costOf(limit, method) > 0);
    this.#plans.set(method, found);
    return found;
  }
}
