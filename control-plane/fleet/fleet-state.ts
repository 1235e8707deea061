/**
 * What the control plane knows about each proxy: its last heartbeat and when it arrived. Pure: time is handed in, and
 * nothing here performs I/O.
 */
import type { Digest } from "../../core/digest.js";
import type { Activation, Heartbeat, Revocation } from "../../core/model.js";
import { type ActivatedRevisions, revisionFor } from "../../core/rollout/cohort.js";

export interface FleetOptions {
  /** The milliseconds after a heartbeat during which a proxy counts as live. */
  readonly liveMs: number;
  /** The milliseconds for which a silent proxy counts as behind; then it is forgotten. */
  readonly forgetMs: number;
  /** The most proxies that are remembered. */
  readonly proxiesMax: number;
}

const fleetDefaults: FleetOptions = { liveMs: 10_000, forgetMs: 24 * 3_600_000, proxiesMax: 20_000 };

const doubtMsMax = 60_000;

/** A proxy as the fleet view shows it. */
export interface FleetEntry {
  readonly heartbeat: Heartbeat;
  /** When the heartbeat arrived, in Unix milliseconds. */
  readonly lastSeenMs: number;
  /** True if the proxy is heard from and its certificate is not revoked. */
  readonly live: boolean;
  /**
   * How far the proxy's clock was ahead of this control plane's, in milliseconds, judged by the heartbeats that
   * arrived; undefined: none has arrived since this control plane began.
   */
  readonly clockAheadMs?: number | undefined;
  /** The serial number of the certificate that signed the heartbeat; undefined: the proxy's version does not sign. */
  readonly serial: string | undefined;
  /** Set if the proxy's certificate is revoked. The proxy counts for nothing, and people see the reason. */
  readonly revoked: Revocation | undefined;
}

/** The signer of a heartbeat. */
export interface HeardBy {
  readonly serial: string;
  readonly revoked: Revocation | undefined;
}

/** The head of the activation log, with which proxies are compared; undefined: nothing is active. */
export type FleetHead = (ActivatedRevisions & Pick<Activation, "epoch">) | undefined;

interface Known extends Omit<FleetEntry, "live"> {
  readonly liveUntilMs: number;
  /**
   * How far the proxy's clock was ahead at the last two heartbeats. A heartbeat that was delayed makes the clock seem
   * behind.
   */
  readonly aheadMs: readonly number[];
}

/** A roster as it is stored on disk. */
export type SavedRoster = readonly {
  readonly heartbeat: Heartbeat;
  readonly lastSeenMs: number;
  readonly live: boolean;
  readonly serial?: string | undefined;
}[];

export class FleetState {
  readonly #options: FleetOptions;
  /** Sorted by last arrival, the proxy that was silent longest first. */
  readonly #known = new Map<string, Known>();
  #turnedAway = 0;

  constructor(options: FleetOptions = fleetDefaults) {
    this.#options = options;
  }

  /** The number of heartbeats that were turned away because the roster was full of live proxies. */
  get turnedAway(): number {
    return this.#turnedAway;
  }

  /**
   * Receives a heartbeat; the last one of a leaving proxy removes it. `nowMs` advances evenly; `wallMs` is this
   * machine's clock, with which the heartbeat's time is compared.
   */
  hear(heartbeat: Heartbeat, nowMs: number, wallMs = nowMs, by?: HeardBy): void {
    const before = this.#known.get(heartbeat.proxyId);
    this.#known.delete(heartbeat.proxyId);
    if (heartbeat.leaving) return;
    if (before === undefined && !this.#makeRoom(nowMs)) return;
    const { serial, revoked } = by ?? { serial: undefined, revoked: undefined };
    const aheadMs = [heartbeat.timeMs - wallMs, ...(before?.aheadMs ?? []).slice(0, 1)];
    const liveUntilMs = revoked === undefined ? nowMs + this.#options.liveMs : 0;
    this.#known.set(heartbeat.proxyId, { heartbeat, lastSeenMs: nowMs, liveUntilMs, aheadMs, serial, revoked });
  }

  /**
   * Notes that messages in this proxy's name were not verified because there were too many, so that its silence proves
   * nothing, up to a minute after it was last heard from.
   */
  doubt(proxyId: string, nowMs: number): void {
    const known = this.#known.get(proxyId);
    if (known === undefined || nowMs >= known.liveUntilMs || nowMs - known.lastSeenMs > doubtMsMax) return;
    this.#known.set(proxyId, { ...known, liveUntilMs: nowMs + this.#options.liveMs });
  }

  /** Looks up the certificate of each proxy. Returns whether one is newly revoked. */
  revoke(revocationOf: (serial: string) => Revocation | undefined): boolean {
    let changed = false;
    for (const [id, known] of this.#known) {
      const revoked = known.serial === undefined ? undefined : revocationOf(known.serial);
      if (revoked === undefined || known.revoked !== undefined) continue;
      this.#known.set(id, { ...known, revoked, liveUntilMs: 0 });
      changed = true;
    }
    return changed;
  }

  /**
   * Returns for how many milliseconds more a proxy that was heard since the start counts as live; 0: it does not, or
   * was only restored.
   */
  liveForMs(proxyId: string, nowMs: number): number {
    const known = this.#known.get(proxyId);
    return known === undefined || known.aheadMs.length === 0 ? 0 : Math.max(0, known.liveUntilMs - nowMs);
  }

  /** Returns for how many milliseconds after a heartbeat its proxy counts as live. */
  get liveMs(): number {
    return this.#options.liveMs;
  }

  /** Forgets proxies that have been silent for `forgetMs`. */
  forget(nowMs: number): void {
    for (const [id, known] of this.#known) {
      if (nowMs - known.lastSeenMs <= this.#options.forgetMs) break; // the others were heard from later
      this.#known.delete(id);
    }
  }

  /** Returns all known proxies, sorted by service, then id. */
  list(nowMs: number): readonly FleetEntry[] {
    return [...this.#known.values()]
      .map((known) => entryOf(known, nowMs))
      .sort(
        (a, b) =>
          compareText(a.heartbeat.service, b.heartbeat.service) ||
          compareText(a.heartbeat.proxyId, b.heartbeat.proxyId),
      );
  }

  /** Returns the live proxies, in the same order. */
  live(nowMs: number): readonly FleetEntry[] {
    return this.list(nowMs).filter((entry) => entry.live);
  }

  find(proxyId: string, nowMs: number): FleetEntry | undefined {
    const known = this.#known.get(proxyId);
    return known && entryOf(known, nowMs);
  }

  /** Returns the proxies that were live at `afterMs` and, for lack of heartbeats, are not at `untilMs`. */
  silentSince(afterMs: number, untilMs: number): readonly Heartbeat[] {
    return [...this.#known.values()]
      .filter(({ liveUntilMs }) => liveUntilMs > afterMs && liveUntilMs <= untilMs)
      .map(({ heartbeat }) => heartbeat);
  }

  /**
   * Returns the time until which no proxy can fall silent: the earliest end of a live proxy's time; undefined if none
   * is live.
   */
  nextSilenceMs(nowMs: number): number | undefined {
    let next: number | undefined;
    for (const { liveUntilMs } of this.#known.values()) {
      if (liveUntilMs > nowMs && (next === undefined || liveUntilMs < next)) next = liveUntilMs;
    }
    return next;
  }

  save(nowMs: number): SavedRoster {
    return this.list(nowMs);
  }

  /**
   * Takes over the roster of an earlier run. Proxies that were live then get `liveMs` from now to be heard from: the
   * control plane was away, not they, so an activation right after a restart still waits for them.
   */
  restore(roster: SavedRoster, nowMs: number): void {
    const byTime = [...roster].sort((a, b) => a.lastSeenMs - b.lastSeenMs);
    for (const { heartbeat, lastSeenMs, live, serial } of byTime.slice(-this.#options.proxiesMax)) {
      const liveUntilMs = live ? nowMs + this.#options.liveMs : 0;
      // otherwise a clock that was ahead at that time would keep the proxy's heartbeat in the future
      this.#known.set(heartbeat.proxyId, {
        heartbeat,
        lastSeenMs: Math.min(lastSeenMs, nowMs),
        liveUntilMs,
        aheadMs: [],
        serial,
        revoked: undefined,
      });
    }
  }

  #makeRoom(nowMs: number): boolean {
    if (this.#known.size < this.#options.proxiesMax) return true;
    for (const [id, known] of this.#known) {
      if (nowMs < known.liveUntilMs) continue;
      this.#known.delete(id);
      return true;
    }
    this.#turnedAway += 1;
    return false;
  }
}

function entryOf(known: Known, nowMs: number): FleetEntry {
  const { heartbeat, lastSeenMs, liveUntilMs, aheadMs, serial, revoked } = known;
  const clockAheadMs = aheadMs.reduce<number | undefined>(
    (least, ms) => (least === undefined || Math.abs(ms) < Math.abs(least) ? ms : least),
    undefined,
  );
  return { heartbeat, lastSeenMs, live: nowMs < liveUntilMs, clockAheadMs, serial, revoked };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** I7: a proxy is active if what it evaluates is what the head states for it. */
export function isActive(heartbeat: Heartbeat, head: FleetHead): boolean {
  if (head === undefined || heartbeat.evaluatingEpoch > head.epoch) return true;
  return (
    heartbeat.evaluatingEpoch === head.epoch &&
    heartbeat.evaluatingDigest === revisionFor(head, heartbeat.proxyId).digest
  );
}

/** Returns whether the proxy holds this revision compiled; evaluating it counts. */
export function isPrepared(heartbeat: Heartbeat, revision: Digest): boolean {
  return heartbeat.evaluatingDigest === revision || heartbeat.prepared.some(({ digest }) => digest === revision);
}

/** Returns why the proxy rejected this revision, or undefined if it did not. */
export function rejectionOf(heartbeat: Heartbeat, revision: Digest): string | undefined {
  return heartbeat.rejected?.digest === revision ? heartbeat.rejected.reason : undefined;
}
