/**
 * Heartbeats that say they repeat what their proxy said before. The last one of each proxy is kept unread and is
 * verified only when half of the proxy's time is over (decision 0087). Pure: time is handed in.
 */
import { repeatHeader, withStatementAlone } from "../../core/wire/statement.js";
import { parseFleetSubject } from "../../core/wire/subjects.js";
import type { BusMessage } from "../../runtime/bus.js";

/** When a message arrived, by the clock that advances evenly and by this machine's. */
export interface Arrival {
  readonly atMs: number;
  readonly wallMs: number;
}

export interface Unread extends Arrival {
  readonly message: BusMessage;
}

const bytesMax = 4096;
/** A proxy for which nothing else came is verified so many milliseconds before it would count as silent. */
const beforeSilenceMs = 3000;

export class UnreadHeartbeats {
  readonly #kept = new Map<string, Unread>();
  /** Returns for how many milliseconds a proxy whose heartbeat was verified still counts as live; 0: it does not. */
  readonly #liveForMs: (proxyId: string, nowMs: number) => number;
  readonly #halfMs: number;

  constructor(liveMs: number, liveForMs: (proxyId: string, nowMs: number) => number) {
    this.#halfMs = liveMs / 2;
    this.#liveForMs = liveForMs;
  }

  /**
   * Returns what is to be read now: nothing if the message is kept instead of an earlier one of its proxy; otherwise
   * the message, after an earlier one without which the proxy would seem to have been silent.
   */
  take(message: BusMessage, arrival: Arrival): readonly Unread[] {
    const { proxyId } = parseFleetSubject(message.subject) ?? { proxyId: "" };
    const unread = { ...arrival, message };
    const mayWait = message.header(repeatHeader) !== undefined && message.data.length <= bytesMax;
    const liveForMs = this.#liveForMs(proxyId, arrival.atMs);
    if (mayWait && liveForMs > this.#halfMs) {
      this.#kept.set(proxyId, { ...arrival, message: withStatementAlone(message) });
      return [];
    }
    const earlier = this.#kept.get(proxyId);
    this.#kept.delete(proxyId);
    return earlier !== undefined && liveForMs === 0 ? [earlier, unread] : [unread];
  }

  /** Takes out and returns those whose proxies would soon count as silent. */
  takeDue(nowMs: number): readonly Unread[] {
    const due: Unread[] = [];
    for (const [proxyId, unread] of this.#kept) {
      if (this.#liveForMs(proxyId, nowMs) > beforeSilenceMs) continue;
      this.#kept.delete(proxyId);
      due.push(unread);
    }
    return due;
  }
}
