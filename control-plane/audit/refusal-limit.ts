/** Keeps a flood of refusals from filling the audit log: the first few of a kind are recorded, the others counted. */
import type { Clock } from "../../runtime/clock.js";
import type { AuditDraft, AuditTrail } from "./audit-trail.js";

export interface RefusalLimits {
  /** The most refusals of one kind that are recorded in a window. */
  readonly notedMax: number;
  readonly windowMs: number;
  /** The most kinds that are told apart at once; all further ones count as one kind. */
  readonly kindsMax: number;
  /**
   * The most refusals of actors without an identity that are recorded in a window, from all hosts together: otherwise
   * somebody with many addresses could fill the log.
   */
  readonly anonymousMax: number;
}

const refusalLimits: RefusalLimits = { notedMax: 10, windowMs: 60_000, kindsMax: 1000, anonymousMax: 30 };
/** The kind that counts refusals of anonymous actors above that bound. */
const anonymousFlood = "anonymous";

interface Window {
  readonly startMs: number;
  noted: number;
  /** The number of refusals that were not recorded, and the last of them. */
  omitted: number;
  last: AuditDraft | undefined;
}

/**
 * Passes entries of successful actions on. Of the refusals with the same action, actor, source host and outcome, the
 * first of each window are passed on; the others become one entry with their number, when the window is over and
 * another refusal comes or `flush` is called. Refusals of actors without an identity share a further bound.
 */
export class LimitedAuditTrail implements AuditTrail {
  readonly #trail: AuditTrail;
  readonly #clock: Clock;
  readonly #limits: RefusalLimits;
  readonly #windows = new Map<string, Window>();
  #anonymous = { startMs: Number.NEGATIVE_INFINITY, noted: 0 };

  constructor(trail: AuditTrail, clock: Clock, limits: RefusalLimits = refusalLimits) {
    this.#trail = trail;
    this.#clock = clock;
    this.#limits = limits;
  }

  async record(draft: AuditDraft): Promise<void> {
    if (draft.outcome === "ok") return this.#trail.record(draft);
    const nowMs = this.#clock.monotonicMs();
    await this.#closeWindows(nowMs);
    const isAnonymous = draft.actor === "anonymous";
    const isFlood = isAnonymous && this.#anonymousNoted(nowMs) >= this.#limits.anonymousMax;
    const kind = [draft.action, draft.actor, hostOf(draft.source), draft.outcome].join(" ");
    const window = this.#openWindow(isFlood ? anonymousFlood : kind, nowMs);
    if (!isFlood && window.noted < this.#limits.notedMax) {
      window.noted += 1;
      if (isAnonymous) this.#anonymous.noted += 1;
      return this.#trail.record(draft);
    }
    window.omitted += 1;
    window.last = draft;
  }

  /** Records the refusals that were only counted so far. */
  async flush(): Promise<void> {
    await this.#closeWindows(Number.POSITIVE_INFINITY);
  }

  #anonymousNoted(nowMs: number): number {
    if (nowMs - this.#anonymous.startMs >= this.#limits.windowMs) this.#anonymous = { startMs: nowMs, noted: 0 };
    return this.#anonymous.noted;
  }

  #openWindow(kind: string, nowMs: number): Window {
    const known = this.#windows.get(kind);
    if (known !== undefined) return known;
    const name = this.#windows.size < this.#limits.kindsMax ? kind : "other";
    const window = this.#windows.get(name) ?? { startMs: nowMs, noted: 0, omitted: 0, last: undefined };
    this.#windows.set(name, window);
    return window;
  }

  /** Windows are sorted by their start, so those that are over come first. */
  async #closeWindows(nowMs: number): Promise<void> {
    for (const [kind, { startMs, omitted, last }] of this.#windows) {
      if (nowMs - startMs < this.#limits.windowMs) break;
      this.#windows.delete(kind);
      if (last === undefined) continue;
      await this.#trail.record({
        ...last,
        detail: `${omitted} more refusals like this one: ${last.detail}`.slice(0, 1024),
      });
    }
  }
}

/** Removes the port from a source; a text behind it ("via console") stays. */
export function hostOf(source: string): string {
  return source.replace(/:\d+(?= |$)/, "");
}
