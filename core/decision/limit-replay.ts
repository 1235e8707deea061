/**
 * Rate limits over recorded calls, in time order, as the proxies would have kept them had they begun with full budgets.
 * Where not every call was recorded a level is known between two bounds only: what comes out is told where both agree.
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

/** Calls as limits meet them. */
export interface MeteredCall {
  readonly proxyId: string;
  /** `inputs`, once read, say what they lack. */
  readonly call: LimitedCall & { readonly inputs: { readonly unknown: readonly string[] } };
  readonly timeMs: number;
  /** The number of calls that the record stands for, including itself; at least 1. */
  readonly weight: number;
}

/** What limits say of a call; unknown: a limit of whose level too little is known, or what a limit's key lacks. */
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

/** A limit as it meets a call. */
interface Met {
  readonly of: ReplayedLimit;
  readonly budgets: BudgetBounds;
  readonly cost: number;
  readonly level: LevelBounds;
}

/**
 * The one that surely refuses, or nearly all of the calls that this one stands for; of several the one with the longest
 * wait, as proxies name it; undefined: none.
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
/** The share of the calls behind one recorded call that may come out otherwise than the recorded one. */
const strayShare = 0.05;
const plansMax = 10_000;

/** The limits of one service. */
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
    this.#takeUnrecorded(met, metered.weight - 1); // they may have come before it
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

  /** Takes the tokens of a call that equal limits have judged already, whether it passed or not. */
  callAsItWas(metered: MeteredCall, hasPassed: boolean): void {
    const met = this.#meet(metered);
    if (!Array.isArray(met)) return;
    if (hasPassed) for (const { level, cost } of met) take(level, cost);
    this.#takeUnrecorded(met, metered.weight - 1);
  }

  /** A call that may or may not reach the limits. */
  perhapsCall(metered: MeteredCall): void {
    const met = this.#meet(metered);
    if (Array.isArray(met)) this.#takeUnrecorded(met, metered.weight);
  }

  /** How many of calls alike, at unknown moments, are over a limit whatever the moments were, and over which. */
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

  /** The limits about a call with their levels; or why they cannot be told. */
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
        budgets.blind(timeMs); // it drew on a key that is not known
        why ??= lack ?? `in which order calls met ${of.name}`;
      }
    }
    if (why === undefined) return met;
    for (const { budgets } of met) budgets.blind(timeMs);
    return { kind: "unknown", what: why };
  }

  /** The calls for which a recorded one stands, at about its time. */
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
