/**
 * The last step of deciding recorded calls again: the candidate's rate limits, applied in the order of time to the
 * calls that its authorization lets pass. Where the candidate has the same limits as the policy that decided, the
 * recorded verdict stands.
 */
import type { RateLimit } from "../kinds/rate-limit/rate-limit.js";
import type { CompiledUnit } from "../policy/compile.js";
import { type DecisionBatch, type DecisionRecord, noInputs, type RefusalCount } from "./decision-record.js";
import { LimitReplay, type LimitVerdict } from "./limit-replay.js";
import { RecordedInputs } from "./recorded-inputs.js";
import { asLimitedThen, type Redecided, type Undecidable } from "./redecide.js";
import { TimeOrder } from "./time-order.js";

/**
 * A service's compiled policy under the candidate (`unit`) and under the policy that decided (`own`); undefined: it is
 * not known.
 */
export interface LimitSides {
  readonly unit: CompiledUnit | undefined;
  readonly own: CompiledUnit | undefined;
}

/**
 * Receives the result, at once or later. `count`: for counted refusals, the number of calls that the result is about;
 * otherwise 1.
 */
export type Told = (again: Redecided | Undecidable, count: number) => void;

export class LimitStage {
  readonly #order = new TimeOrder();
  readonly #limits = new Map<string, LimitReplay>();
  /** The time of the last record of each proxy, in Unix milliseconds. */
  readonly #lastMs = new Map<string, number>();

  /** Judges a recorded call. `before`: the candidate's decision without its rate limits. */
  record(
    { proxyId }: DecisionBatch,
    record: DecisionRecord,
    weight: number,
    { unit, own }: LimitSides,
    before: Redecided | Undecidable,
    told: Told,
  ): void {
    const { service, caller, timeMs, verdict } = record;
    const method = before.kind === "decided" ? before.method : record.method;
    const limits = this.#limitsOf(service, unit);
    const reaches = before.kind === "undecidable" || before.verdict === "allowed";
    if (limits === undefined || !reaches || record.closed || !limits.isAbout(method)) {
      told(before, 1);
      return;
    }
    const inputs = new RecordedInputs(record.inputs, timeMs);
    const metered = { proxyId, call: { caller, method, inputs }, timeMs, weight };
    const hadThem = (verdict === "allowed" || verdict === "limited") && hasSameLimits(unit, own);
    this.#order.add(timeMs, () => {
      if (before.kind === "undecidable") {
        limits.perhapsCall(metered);
        told(before, 1);
      } else if (hadThem) {
        limits.callAsItWas(metered, verdict === "allowed");
        told(verdict === "allowed" ? before : asLimitedThen(record.rule, method), 1);
      } else told(afterLimits(before, limits.call(metered)), 1);
    });
  }

  /** Judges refusals of a proxy that were counted and not recorded one by one. */
  refusals(
    { proxyId, service }: DecisionBatch,
    counted: RefusalCount,
    { unit, own }: LimitSides,
    before: Redecided | Undecidable,
    told: Told,
  ): void {
    const { caller, count, fromMs, untilMs, verdict } = counted;
    const method = before.kind === "decided" ? before.method : counted.method;
    const limits = this.#limitsOf(service, unit);
    const reaches = before.kind === "undecidable" || before.verdict === "allowed";
    if (limits === undefined || !reaches || (method !== "" && !limits.isAbout(method))) {
      told(before, count);
      return;
    }
    if (verdict === "limited" && before.kind === "decided" && hasSameLimits(unit, own)) {
      told(asLimitedThen(counted.rule, method), count);
      return;
    }
    // within the same millisecond, any of them may have come before a recorded call
    this.#order.addFirst(fromMs, () => {
      if (before.kind === "undecidable") {
        limits.blind(proxyId, untilMs);
        told(before, count);
        return;
      }
      const inputs = new RecordedInputs(noInputs, fromMs);
      const call = { caller, method, inputs };
      const { limited, limit } = limits.refusals({ proxyId, call, count, fromMs, untilMs });
      if (limited > 0) told(limitedBy(limit, method), limited);
      if (limited < count) told(unknownOf(`when calls met ${limit}`), count - limited);
    });
  }

  /** Notes decisions of a proxy that were not recorded and that no recorded decision stands for. */
  unseen(batch: DecisionBatch, unitOf: (service: string) => CompiledUnit | undefined): void {
    const { service, proxyId, share, dropped, decisions } = batch;
    const proxy = `${service} ${proxyId}`;
    const [first, last] = [decisions[0]?.timeMs, decisions.at(-1)?.timeMs];
    const fromMs = this.#lastMs.get(proxy) ?? first ?? 0;
    if (last !== undefined) this.#lastMs.set(proxy, last);
    if (dropped === 0 && share > 0) return;
    const limits = this.#limitsOf(service, unitOf(service));
    const untilMs = share > 0 ? (last ?? fromMs) : Number.POSITIVE_INFINITY;
    if (limits !== undefined) this.#order.add(fromMs, () => limits.blind(proxyId, untilMs));
  }

  /** Reports all results that still wait for their turn. */
  flush(): void {
    this.#order.flush();
  }

  /** Returns the replayed limits of a service, or undefined if the candidate has no limits for it. */
  #limitsOf(service: string, unit: CompiledUnit | undefined): LimitReplay | undefined {
    const known = this.#limits.get(service);
    if (known !== undefined || unit === undefined || unit.rateLimits.length === 0) return known;
    const made = new LimitReplay(unit.rateLimits);
    this.#limits.set(service, made);
    return made;
  }
}

function afterLimits(before: Redecided, verdict: LimitVerdict): Redecided | Undecidable {
  switch (verdict.kind) {
    case "passed":
      return before;
    case "limited":
      return limitedBy(verdict.limit, before.method);
    case "unknown":
      return unknownOf(verdict.what);
  }
}

function limitedBy(limit: string, method: string): Redecided {
  return { kind: "decided", verdict: "limited", rule: limit, reason: `over ${limit}`, version: "", method };
}

function unknownOf(what: string): Undecidable {
  return { kind: "undecidable", unknown: [what] };
}

const texts = new WeakMap<readonly RateLimit[], string>();

function hasSameLimits(unit: CompiledUnit | undefined, own: CompiledUnit | undefined): boolean {
  return unit !== undefined && own !== undefined && textOf(unit.rateLimits) === textOf(own.rateLimits);
}

function textOf(rateLimits: readonly RateLimit[]): string {
  const known = texts.get(rateLimits);
  if (known !== undefined) return known;
  const text = JSON.stringify(rateLimits);
  texts.set(rateLimits, text);
  return text;
}
