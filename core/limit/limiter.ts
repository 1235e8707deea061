/**
 * The rate limits of one service in one proxy. A call passes if all limits about it let it pass; otherwise no limit is
 * charged.
 */

import type { Limit, RateLimit } from "../kinds/rate-limit/rate-limit.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import { BucketTable } from "./bucket-table.js";
import { compileKey, type KeyOf, type LimitedCall } from "./limit-key.js";

/** The budgets of one limit, by key. */
export interface Budgets {
  /**
   * Returns the slot of `key`, filled up to `nowMs`, from which `tokens` are wanted. It is valid until the next call of
   * `touch`.
   */
  touch(key: string, nowMs: number, tokens: number): number;
  levelOf(slot: number): number;
  take(slot: number, tokens: number): void;
  waitMs(slot: number, tokens: number): number;
  setKeysMax(keysMax: number): void;
  /** Releases the budgets; no call draws on them any more. */
  close?(): void;
}

/** The reason why a call may not pass now. */
export interface LimitRefusal {
  /** The name of the limit for operators, such as "payments-per-caller/limits[0]". */
  readonly limit: string;
  /** Whole milliseconds until the call would pass if no other call came before it; from 1 to `waitMsMax`. */
  readonly waitMs: number;
}

/** The longest pushback that a caller is told, in milliseconds. */
export const waitMsMax = 60_000;
/** The most keys of one limit, and of all limits of a service together. */
export const keysMaxOfLimit = 100_000;
const keysMaxOfService = 200_000;
const plansCachedMax = 10_000;
/** Tolerance for sums of fractions: a token counts as present if less than this is missing. */
export const roundingTokens = 1e-6;

interface ActiveLimit {
  readonly name: string;
  /** The identity of a limit. If it is equal after a change of policy, the budgets are kept. */
  readonly identity: string;
  readonly limit: Limit;
  readonly keyOf: KeyOf;
  readonly budgets: Budgets;
}

/** A limit as it applies to one method: its cost and how its key is made. */
interface Step {
  readonly active: ActiveLimit;
  readonly cost: number;
}

/** Creates the budgets of a limit. */
export type OpenBudgets = (limit: Limit, identity: string, keysMax: number) => Budgets;

/** Budgets of this proxy alone, without sharing. */
const openOwnBudgets: OpenBudgets = ({ rate, burst }, _identity, keysMax) =>
  new BucketTable(rate.tokens / rate.periodMs, burst, keysMax);

export class Limiter {
  readonly #openBudgets: OpenBudgets;
  #rateLimits: readonly RateLimit[] = [];
  #active: readonly ActiveLimit[] = [];
  readonly #plans = new Map<string, readonly Step[]>();
  /** The slot of each step of the call that is being checked. */
  readonly #slots: number[] = [];

  constructor(openBudgets: OpenBudgets = openOwnBudgets) {
    this.#openBudgets = openBudgets;
  }

  /** Replaces the limits. A limit that is unchanged in an object of the same name keeps its budgets. */
  adopt(rateLimits: readonly RateLimit[]): void {
    if (rateLimits === this.#rateLimits) return;
    this.#rateLimits = rateLimits;
    this.#plans.clear();
    const before = new Map(this.#active.map((active) => [active.identity, active]));
    const keyed = rateLimits.flatMap(({ limits }) => limits).filter(({ per }) => per.length > 0).length;
    const keysMax = Math.min(keysMaxOfLimit, Math.floor(keysMaxOfService / Math.max(1, keyed)));
    const identities = new Map<string, number>();
    this.#active = rateLimits.flatMap((rateLimit) =>
      rateLimit.limits.map((limit, index) => {
        const definition = `${rateLimit.name}\n${JSON.stringify(limit)}`;
        const sameBefore = identities.get(definition) ?? 0;
        identities.set(definition, sameBefore + 1);
        const identity = `${definition}\n${sameBefore}`;
        const name = `${rateLimit.name}/limits[${index}]`;
        const known = before.get(identity);
        known?.budgets.setKeysMax(keysMax);
        const budgets = known?.budgets ?? this.#openBudgets(limit, identity, keysMax);
        before.delete(identity);
        return { name, identity, limit, keyOf: compileKey(limit.per), budgets };
      }),
    );
    for (const { budgets } of before.values()) budgets.close?.();
  }

  /**
   * Charges the call to all limits about it and returns undefined, or returns the refusal and charges nothing. `nowMs`:
   * the time of a clock that never goes back.
   */
  check(call: LimitedCall, nowMs: number): LimitRefusal | undefined {
    if (this.#active.length === 0) return undefined;
    const steps = this.#plans.get(call.method) ?? this.#plan(call.method);
    const slots = this.#slots;
    let refusing: ActiveLimit | undefined;
    let waitMs = 0;
    for (let i = 0; i < steps.length; i++) {
      const { active, cost } = steps[i] as Step;
      const { budgets } = active;
      const slot = budgets.touch(active.keyOf(call), nowMs, cost);
      slots[i] = slot;
      if (budgets.levelOf(slot) + roundingTokens >= cost) continue;
      const wait = budgets.waitMs(slot, cost);
      if (refusing === undefined || wait > waitMs) {
        refusing = active;
        waitMs = wait;
      }
    }
    if (refusing !== undefined)
      return { limit: refusing.name, waitMs: Math.min(waitMsMax, Math.max(1, Math.ceil(waitMs))) };
    for (let i = 0; i < steps.length; i++) {
      const { active, cost } = steps[i] as Step;
      active.budgets.take(slots[i] as number, cost);
    }
    return undefined;
  }

  #plan(method: string): readonly Step[] {
    if (this.#plans.size >= plansCachedMax) this.#plans.clear();
    const steps: Step[] = [];
    for (const active of this.#active) {
      if (!isAbout(active.limit, method)) continue;
      const cost = costOf(active.limit, method);
      if (cost > 0) steps.push({ active, cost });
    }
    this.#plans.set(method, steps);
    return steps;
  }
}

/** Returns whether the limit is about calls of `method`. */
export function isAbout({ methods }: Limit, method: string): boolean {
  if (methods.length === 0 || methods.includes("*")) return true;
  return methods.includes(method) || methods.includes(`${serviceOfMethod(method)}/*`);
}

/** Returns the number of tokens that a call of `method` takes. */
export function costOf({ costs }: Limit, method: string): number {
  const cost = (pattern: string) => costs.find((each) => each.method === pattern)?.cost;
  return cost(method) ?? cost(`${serviceOfMethod(method)}/*`) ?? cost("*") ?? 1;
}
