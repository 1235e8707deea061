/**
 * What the control plane knows of each proxy: its last heartbeat and when it arrived.
 * Pure: time is handed in, and nothing here performs I/O.
 */
import type { Digest } from "../../core/digest.js";
import type { Activation, Heartbeat, Revocation } from "../../core/model.js";
import { type ActivatedRevisions, revisionFor } from "../../core/rollout/cohort.js";

export interface FleetOptions {
  /** A proxy is live for this long after a heartbeat. */
  readonly liveMs: number;
  /** A silent proxy counts as behind for this long, then it is forgotten. */
  readonly forgetMs: number;
  /** At most so many proxies are remembered. */
  readonly proxiesMax: number;
}

const fleetDefaults: FleetOptions = { liveMs: 10_000, forgetMs: 24 * 3_600_000, proxiesMax: 20_000 };

const doubtMsMax = 60_000;

/** A proxy as the fleet view shows it. */
export interface FleetEntry {
  readonly heartbeat: Heartbeat;
  /** When the heartbeat arrived, Unix time in milliseconds. */
  readonly lastSeenMs: number;
  /** It is heard of, and its certificate is not revoked. */
  readonly live: boolean;
  /**
   * How far the proxy's clock was ahead of this control plane's, in milliseconds, by the heartbeats that arrived;
   * undefined: none arrived since this control plane began.
   */
  readonly clockAheadMs?: number | undefined;
  /** The serial number of the certificate that it signed with; undefined: its version does not sign. */
  readonly serial: string | undefined;
  /** Set: its certificate is revoked. It counts for nothing, and people see why. */
  readonly revoked: Revocation | undefined;
}

/** Who a heartbeat is of, as its signature says. */
export interface HeardBy {
  readonly serial: string;
  readonly revoked: Revocation | undefined;
}

/** The head of the activation log, which proxies are compared with; undefined: nothing is active. */
export type FleetHead = (ActivatedRevisions & Pick<Activation, "epoch">) | undefined;

interface Known extends Omit<FleetEntry, "live"> {
  readonly liveUntilMs: number;
  /** How far its clock was ahead at the last two heartbeats. One that was held up on its way makes the clock seem behind. */
  readonly aheadMs: readonly number[];
}

/** A roster as it is kept on disk. */
export type SavedRoster = readonly {
  readonly heartbeat: Heartbeat;
  readonly lastSeenMs: number;
  readonly live: boolean;
  readonly serial?: string | undefined;
}[];

export class FleetState {
  readonly #options: FleetOptions;
  /** In order of last arrival: whoever was silent longest comes first. */
  readonly #known = new Map<string, Known>();
  #turnedAway = 0;

  constructor(options: FleetOptions = fleetDefaults) {
    this.#options = options;
  }

  /** How many heartbeats found no room because the roster was full of live proxies. */
  get turnedAway(): number {
    return this.#turnedAway;
  }

  /**
   * Takes a heartbeat; the last one of a proxy that leaves removes it. `nowMs` goes on evenly, and `wallMs` is what
   * this machine's clock says, which the heartbeat's time is compared with.
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
   * Something in this proxy's name was not looked at, because there was too much of it: its silence says nothing, for a
   * minute after it was heard of last.
   */
  doubt(proxyId: string, nowMs: number): void {
    const known = this.#known.get(proxyId);
    if (known === undefined || nowMs >= known.liveUntilMs || nowMs - known.lastSeenMs > doubtMsMax) return;
    this.#known.set(proxyId, { ...known, liveUntilMs: nowMs + this.#options.liveMs });
  }

  /** Looks up the certificate of each proxy; says whether one is revoked now that was not. */
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

  /** Forgets proxies that have been silent for `forgetMs`. */
  forget(nowMs: number): void {
    for (const [id, known] of this.#known) {
      if (nowMs - known.lastSeenMs <= this.#options.forgetMs) break; // the rest was heard of later
      this.#known.delete(id);
    }
  }

  /** Every proxy that is known, sorted by service, then id. */
  list(nowMs: number): readonly FleetEntry[] {
    return [...this.#known.values()]
      .map((known) => entryOf(known, nowMs))
      .sort(
        (a, b) =>
          compareText(a.heartbeat.service, b.heartbeat.service) ||
          compareText(a.heartbeat.proxyId, b.heartbeat.proxyId),
      );
  }

  /** The live proxies, sorted likewise. */
  live(nowMs: number): readonly FleetEntry[] {
    return this.list(nowMs).filter((entry) => entry.live);
  }

  find(proxyId: string, nowMs: number): FleetEntry | undefined {
    const known = this.#known.get(proxyId);
    return known && entryOf(known, nowMs);
  }

  /** The proxies that were live at `afterMs` and, unheard, are not at `untilMs`. */
  silentSince(afterMs: number, untilMs: number): readonly Heartbeat[] {
    return [...this.#known.values()]
      .filter(({ liveUntilMs }) => liveUntilMs > afterMs && liveUntilMs <= untilMs)
      .map(({ heartbeat }) => heartbeat);
  }

  /** Until when nothing becomes silent: the earliest end of a live proxy's time; undefined if none is live. */
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
   * Takes over the roster of an earlier run. Proxies that were live then get `liveMs` from now to be heard of:
   * the control plane was away, not they, so an activation right after a restart still waits for them.
   */
  restore(roster: SavedRoster, nowMs: number): void {
    const byTime = [...roster].sort((a, b) => a.lastSeenMs - b.lastSeenMs);
    for (const { heartbeat, lastSeenMs, live, serial } of byTime.slice(-this.#options.proxiesMax)) {
      const liveUntilMs = live ? nowMs + this.#options.liveMs : 0;
      // a clock that was ahead then would keep the proxy in the future
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

/** I7: a proxy is active by what it evaluates with, which has to be what the head says for it. */
export function isActive(heartbeat: Heartbeat, head: FleetHead): boolean {
  if (head === undefined || heartbeat.evaluatingEpoch > head.epoch) return true;
  return (
    heartbeat.evaluatingEpoch === head.epoch &&
    heartbeat.evaluatingDigest === revisionFor(head, heartbeat.proxyId).digest
  );
}

/** Returns whether the proxy holds this revision compiled (evaluating it counts). */
export function isPrepared(heartbeat: Heartbeat, revision: Digest): boolean {
  return heartbeat.evaluatingDigest === revision || heartbeat.prepared.some(({ digest }) => digest === revision);
}

/** Why the proxy refused this revision; undefined if it did not. */
export function rejectionOf(heartbeat: Heartbeat, revision: Digest): string | undefined {
  return heartbeat.rejected?.digest === revision ? heartbeat.rejected.reason : undefined;
}
