import { BoundedMap } from "../../core/bounded-map.js";
import type { Clock } from "../../runtime/clock.js";
import type { EvaluatedPolicy, PolicyView, ShadowPolicy } from "../ports.js";
import { listen } from "../sync/policy-view.js";

interface Switched {
  readonly policy: EvaluatedPolicy;
  readonly lagMs: number;
  readonly atMs: number;
}

const switchesMax = 64;

/**
 * The policy that every worker judges by (I7). It is what the first process knows of the logs, except that a switch
 * counts when the last worker that carries calls has acknowledged it, and so does trust. While no worker carries calls,
 * nothing is evaluated.
 */
export class EvaluatedByAll implements PolicyView {
  readonly #base: PolicyView;
  readonly #clock: Clock;
  readonly #trust: () => number | undefined;
  readonly #listeners = new Set<(policy: EvaluatedPolicy) => void>();
  readonly #switched = new BoundedMap<number, Switched>(switchesMax);
  current: EvaluatedPolicy | undefined;
  lagMs: number;

  /** `trust` returns the number of the record that all workers use. undefined: there are no workers. */
  constructor(base: PolicyView, clock: Clock, trust: () => number | undefined) {
    this.#base = base;
    this.#clock = clock;
    this.#trust = trust;
    this.lagMs = base.lagMs;
  }

  /** Notes that the first process switched. The workers are being told. */
  switched(policy: EvaluatedPolicy): void {
    this.#switched.set(policy.epoch, { policy, lagMs: this.#base.lagMs, atMs: this.#clock.monotonicMs() });
  }

  /** Notes that all workers judge by `epoch`. 0: there are no workers. */
  reached(epoch: number): void {
    const reached = this.#switched.get(epoch);
    const before = this.current;
    this.current = reached?.policy;
    if (reached === undefined || reached.policy === before) return;
    for (const older of this.#switched.keys()) if (older < epoch) this.#switched.delete(older);
    this.lagMs = reached.lagMs + Math.max(0, this.#clock.monotonicMs() - reached.atMs);
    for (const listener of this.#listeners) listener(reached.policy);
  }

  onSwitch(listener: (policy: EvaluatedPolicy) => void): () => void {
    return listen(this.#listeners, listener);
  }

  /** The shadow candidate of the epoch that all workers judge by. The workers' counts say whether they evaluate it. */
  get shadow(): ShadowPolicy | undefined {
    const { shadow } = this.#base;
    return shadow?.policy.epoch === this.current?.epoch ? shadow : undefined;
  }

  get trustSequence(): number {
    return Math.min(this.#base.trustSequence, this.#trust() ?? this.#base.trustSequence);
  }

  get seenEpoch() {
    return this.#base.seenEpoch;
  }

  get prepared() {
    return this.#base.prepared;
  }

  get rejected() {
    return this.#base.rejected;
  }

  get freshnessAgeMs() {
    return this.#base.freshnessAgeMs;
  }

  get isStaged() {
    return this.#base.isStaged;
  }

  get seenActivation() {
    return this.#base.seenActivation;
  }

  useService(service: string): Promise<boolean> {
    return this.#base.useService(service);
  }

  hearOfEpoch(epoch: number, peer: string): Promise<void> {
    return this.#base.hearOfEpoch(epoch, peer);
  }
}
