/**
 * Decides which instances of a service a proxy does not call for a while, by how its own calls ended (outlier
 * ejection). Pure: its caller says what happened and when.
 */
import type { Outliers } from "../kinds/resilience/resilience.js";

/** How a call to an instance ended. */
export const outcome = {
  /** The instance answered, whatever the application said. */
  success: 0,
  /** The instance answered 14, 13 or 2, or its connection was lost. */
  failure: 1,
  /** The call's deadline passed before the instance answered anything. */
  timeout: 2,
} as const;
export type Outcome = (typeof outcome)[keyof typeof outcome];

/** Success rate and latency are judged over windows of this length, and only in a window with enough calls. */
export const windowMs = 10_000;
const windowCallsMin = 20;
/** The median is taken over at most this many calls, the last ones of the window. */
const samplesMax = 64;
const shareOfAll = 10_000;

export type EjectionReason = "failures" | "timeouts" | "success-rate" | "latency";

export interface Ejection {
  readonly instance: string;
  readonly reason: EjectionReason;
  readonly untilMs: number;
}

class Watched {
  failures = 0;
  timeouts = 0;
  /** Recent ejections of the instance: each further one makes the next ejection longer. */
  ejections = 0;
  /** The time until which the instance is ejected; 0 if it is not ejected. */
  ejectedUntilMs = 0;
  windowStartMs: number;
  calls = 0;
  successes = 0;
  /**
   * How long its last calls took, in milliseconds: a ring, so that an instance that became slow is noticed within the
   * same window.
   */
  readonly tookMs: number[] = [];
  /** How many calls in the ring took longer than policy allows. */
  slow = 0;

  constructor(nowMs: number) {
    this.windowStartMs = nowMs;
  }

  reset(nowMs: number): void {
    this.windowStartMs = nowMs;
    this.calls = 0;
    this.successes = 0;
    this.tookMs.length = 0;
    this.slow = 0;
  }

  /** Puts the duration of a call into the ring, in place of the oldest one. */
  take(tookMs: number, latencyMs: number): void {
    const place = (this.calls - 1) % samplesMax;
    const before = this.tookMs[place];
    if (before !== undefined && before > latencyMs) this.slow--;
    if (tookMs > latencyMs) this.slow++;
    this.tookMs[place] = tookMs;
  }

  /**
   * Whether the median of the ring is above what policy allows. For an even number of calls the median is the upper of
   * the two in the middle.
   */
  get isSlow(): boolean {
    const { length } = this.tookMs;
    return this.slow >= length - (length >> 1);
  }
}

/** Judges the instances of one service. */
export class OutlierDetector {
  readonly #policy: Outliers;
  readonly #watched = new Map<string, Watched>();
  #ejected = 0;

  constructor(policy: Outliers) {
    this.#policy = policy;
  }

  /** Whether successes change nothing: no instance is watched, and policy bounds neither success rate nor latency. */
  get isQuiet(): boolean {
    return this.#watched.size === 0 && !this.#readsWindow;
  }

  /** The number of ejected instances. */
  get ejected(): number {
    return this.#ejected;
  }

  /**
   * Notes that a call to an instance ended, or was given up (a timeout). `instances` is how many the service has,
   * `tookMs` the time until the first answer. Returns the ejection that this call caused, if any.
   */
  note(instance: string, what: Outcome, tookMs: number, instances: number, nowMs: number): Ejection | undefined {
    const known = this.#watched.get(instance);
    if (known === undefined && what === outcome.success && !this.#readsWindow) return undefined;
    const watched = known ?? this.#watch(instance, nowMs);
    if (watched.ejectedUntilMs > nowMs) return undefined; // the call was open when the instance was ejected
    this.#count(watched, what, tookMs, nowMs);
    const reason = this.#whyOut(watched);
    return reason === undefined ? undefined : this.#eject(instance, watched, reason, instances, nowMs);
  }

  isEjected(instance: string, nowMs: number): boolean {
    if (this.#ejected === 0) return false;
    const watched = this.#watched.get(instance);
    return watched !== undefined && watched.ejectedUntilMs > nowMs;
  }

  /** Ends the ejections whose time is over and returns their instances. Call it from time to time. */
  returned(nowMs: number): readonly string[] {
    if (this.#ejected === 0) return [];
    const back: string[] = [];
    for (const [instance, watched] of this.#watched) {
      if (watched.ejectedUntilMs === 0 || watched.ejectedUntilMs > nowMs) continue;
      watched.ejectedUntilMs = 0;
      watched.reset(nowMs);
      this.#ejected--;
      back.push(instance);
    }
    return back;
  }

  /** Forgets all instances but these. */
  keepOnly(instances: ReadonlySet<string>): void {
    for (const [instance, watched] of this.#watched) {
      if (instances.has(instance)) continue;
      if (watched.ejectedUntilMs > 0) this.#ejected--;
      this.#watched.delete(instance);
    }
  }

  get #readsWindow(): boolean {
    return this.#policy.successRate !== undefined || this.#policy.latencyMs !== undefined;
  }

  #watch(instance: string, nowMs: number): Watched {
    const watched = new Watched(nowMs);
    this.#watched.set(instance, watched);
    return watched;
  }

  #count(watched: Watched, what: Outcome, tookMs: number, nowMs: number): void {
    if (what === outcome.success) {
      watched.failures = 0;
      watched.timeouts = 0;
      if (watched.ejections > 0 && nowMs - watched.windowStartMs >= windowMs) watched.ejections--;
    } else if (what === outcome.failure) {
      watched.failures++;
      watched.timeouts = 0;
    } else watched.timeouts++;
    if (nowMs - watched.windowStartMs >= windowMs) watched.reset(nowMs);
    watched.calls++;
    if (what === outcome.success) watched.successes++;
    if (this.#policy.latencyMs !== undefined) watched.take(tookMs, this.#policy.latencyMs);
  }

  #whyOut(watched: Watched): EjectionReason | undefined {
    const { failures, timeouts, calls, successes } = watched;
    const { consecutiveFailures, consecutiveTimeouts, successRate, latencyMs } = this.#policy;
    if (consecutiveTimeouts > 0 && timeouts >= consecutiveTimeouts) return "timeouts";
    if (consecutiveFailures > 0 && failures >= consecutiveFailures) return "failures";
    if (calls < windowCallsMin) return undefined;
    if (successRate !== undefined && successes * shareOfAll < calls * successRate) return "success-rate";
    return latencyMs !== undefined && watched.isSlow ? "latency" : undefined;
  }

  #eject(
    instance: string,
    watched: Watched,
    reason: EjectionReason,
    instances: number,
    nowMs: number,
  ): Ejection | undefined {
    const { baseEjectionMs, maxEjectionMs, maxEjected } = this.#policy;
    this.returned(nowMs);
    const most = instances < 2 ? 0 : Math.max(1, Math.floor((instances * maxEjected) / shareOfAll));
    if (this.#ejected >= most) return undefined; // what was counted stays: it goes as soon as there is room
    watched.failures = 0;
    watched.timeouts = 0;
    watched.ejections++;
    watched.ejectedUntilMs = nowMs + Math.min(maxEjectionMs, baseEjectionMs * watched.ejections);
    watched.reset(nowMs);
    this.#ejected++;
    return { instance, reason, untilMs: watched.ejectedUntilMs };
  }
}
