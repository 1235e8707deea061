/**
 * How one proxy spreads its calls over the instances of one service: who may get calls (health, ejection, subset),
 * which of those are near, and which one it is. Pure: times, draws and loads come from outside.
 */
import type { Resilience } from "../kinds/resilience/resilience.js";
import type { Label } from "../model.js";
import { healthyOrAll, nearShare, panicBelowDefault, subsetFor } from "./eligible.js";
import { type Ejection, type Outcome, OutlierDetector, outcome } from "./outliers.js";
import { pickByKey, pickInTurn, pickLeastLoaded, slowStartWeight } from "./pick.js";

/** One instance of a service, which is one proxy. */
export interface Instance {
  readonly proxyId: string;
  readonly version: string;
  readonly labels: readonly Label[];
  /** Why the instance's own proxy reports that the application cannot be called; undefined if it can be called. */
  readonly unhealthy?: string | undefined;
}

/**
 * The bounds that hold where no Resilience is stated: only calls that got no answer at all count against an instance.
 */
const defaultOutliers = {
  consecutiveFailures: 0,
  consecutiveTimeouts: 3,
  baseEjectionMs: 10_000,
  maxEjectionMs: 300_000,
  maxEjected: 5000,
} as const;

/**
 * Where policy states no outliers, a call that its caller gave up within this time does not count against the instance:
 * the caller's deadline was short.
 */
const timeoutCountsMs = 1000;

const idOf = ({ proxyId }: Instance): string => proxyId;

export class Spread<Each extends Instance> {
  readonly #proxyId: string;
  /** The proxy's own labels. */
  readonly #labels: readonly Label[];
  #policy: Resilience | undefined;
  #outliers = new OutlierDetector(defaultOutliers);
  #turn = 0;
  /**
   * When each instance was first seen, in milliseconds. Instances of the first list count as seen long ago, so they get
   * no slow start.
   */
  readonly #sinceMs = new Map<string, number>();
  #all: readonly Each[] | undefined;
  #eligible: readonly Each[] = [];
  #ejections = 0;
  #isPanic = false;

  constructor(proxyId: string, labels: readonly Label[]) {
    this.#proxyId = proxyId;
    this.#labels = labels;
  }

  /** Applies a new policy. What is known about instances is forgotten only if the bounds for outliers changed. */
  follow(policy: Resilience | undefined): void {
    if (policy === this.#policy) return;
    if (JSON.stringify(policy?.outliers) !== JSON.stringify(this.#policy?.outliers)) {
      this.#outliers = new OutlierDetector(policy?.outliers ?? defaultOutliers);
    }
    this.#policy = policy;
    this.#all = undefined;
  }

  /** Whether health is ignored because too few instances are healthy. */
  get isPanic(): boolean {
    return this.#isPanic;
  }

  get ejected(): number {
    return this.#outliers.ejected;
  }

  /** Whether noting a successful call would change nothing, so that `note` need not be called. */
  get isQuiet(): boolean {
    return this.#outliers.isQuiet;
  }

  isEjected(instance: Each, nowMs: number): boolean {
    return this.#outliers.isEjected(instance.proxyId, nowMs);
  }

  /**
   * What ringHash uses as the key: the name of a request header, or true for the caller; undefined if calls have no
   * key.
   */
  get keyedBy(): string | true | undefined {
    const balance = this.#policy?.balance;
    if (balance?.policy !== "ringHash") return undefined;
    return balance.caller === true ? true : balance.header;
  }

  /**
   * Returns the instances that get calls now, as the same array until something changes. `all` lists all instances; it
   * must be another array whenever its content has changed.
   */
  eligible(all: readonly Each[], nowMs: number): readonly Each[] {
    const isSame = this.#outliers.ejected === 0 || this.#outliers.returned(nowMs).length === 0;
    if (isSame && all === this.#all && this.#ejections === 0) return this.#eligible;
    if (all !== this.#all) this.#meet(all, nowMs);
    this.#all = all;
    this.#ejections = 0;
    const { subset, panicBelow = panicBelowDefault } = this.#policy ?? {};
    const mine = subset === undefined ? all : subsetFor(all, subset, this.#proxyId, idOf);
    const isHealthy = (each: Each): boolean =>
      each.unhealthy === undefined && !this.#outliers.isEjected(each.proxyId, nowMs);
    this.#eligible = healthyOrAll(mine, isHealthy, panicBelow);
    this.#isPanic = this.#eligible === mine && !mine.every(isHealthy);
    return this.#eligible;
  }

  /**
   * Picks one of `candidates`, which are eligible. `draw`, uniform in [0, 1), decides; with ringHash the call's `key`
   * decides, if it has one. `loadOf` returns the number of calls that are open at an instance.
   */
  pick(
    candidates: readonly Each[],
    draw: number,
    key: string | undefined,
    loadOf: (instance: Each) => number,
    nowMs: number,
  ): Each | undefined {
    if (candidates.length < 2) return candidates[0];
    const near = this.#near(candidates, draw);
    const slowStartMs = this.#policy?.slowStartMs ?? 0;
    const weightOf =
      slowStartMs === 0
        ? undefined
        : (each: Each): number => slowStartWeight(nowMs - (this.#sinceMs.get(each.proxyId) ?? 0), slowStartMs);
    const policy = this.#policy?.balance?.policy ?? "leastRequest";
    if (policy === "ringHash" && key !== undefined) return pickByKey(near, key, idOf, weightOf);
    if (policy === "roundRobin") return pickInTurn(near, this.#turn++, weightOf, draw);
    return pickLeastLoaded(near, loadOf, weightOf, draw);
  }

  /**
   * Notes how a call to an instance ended, `tookMs` after it was sent. Returns the ejection that this caused, if any.
   */
  note(instance: string, what: Outcome, tookMs: number, nowMs: number): Ejection | undefined {
    if (what === outcome.timeout && this.#policy?.outliers === undefined && tookMs < timeoutCountsMs) return undefined;
    const ejection = this.#outliers.note(instance, what, tookMs, this.#all?.length ?? 1, nowMs);
    if (ejection !== undefined) this.#ejections++;
    return ejection;
  }

  #meet(all: readonly Each[], nowMs: number): void {
    const isFirstLook = this.#all === undefined && this.#sinceMs.size === 0;
    const ids = new Set(all.map(idOf));
    for (const id of ids)
      if (!this.#sinceMs.has(id)) this.#sinceMs.set(id, isFirstLook ? Number.NEGATIVE_INFINITY : nowMs);
    for (const id of this.#sinceMs.keys()) if (!ids.has(id)) this.#sinceMs.delete(id);
    this.#outliers.keepOnly(ids);
  }

  #near(candidates: readonly Each[], draw: number): readonly Each[] {
    const locality = this.#policy?.locality;
    if (locality === undefined) return candidates;
    const own = this.#labels.find(({ key }) => key === locality.label)?.value;
    if (own === undefined) return candidates;
    const isNear = ({ labels }: Each): boolean =>
      labels.some(({ key, value }) => key === locality.label && value === own);
    const near = candidates.filter(isNear);
    const others = candidates.length > near.length;
    const known = this.#all?.filter(isNear).length ?? near.length;
    const share = nearShare(known, near.length, others, locality.spillOver);
    // the draw also decides among the instances, so this takes its finer digits
    if ((draw * 1009) % 1 < share) return near;
    return candidates.filter((each) => !isNear(each));
  }
}
