/** A connection whose peer is waited for. */
export interface Waited {
  /** The number of bytes that have come. */
  readonly bytesRead: number;
  destroy(): void;
}

interface Wait {
  bytesRead: number;
  sinceMs: number;
}

export interface SilenceLimits {
  /** The milliseconds that a handshake may take. */
  readonly handshakeMsMax: number;
  /** The milliseconds after the handshake that a peer may send nothing; undefined: any. */
  readonly silentMsMax: number | undefined;
}

/**
 * Ends connections whose peer does not finish its handshake, or sends nothing afterwards. All times come from one clock
 * that stands still while this process cannot read: a timer of Node would end peers whose bytes lie unread.
 */
export class PeerSilence {
  readonly #limits: SilenceLimits;
  /** Connections in their handshake, oldest first. */
  readonly #shaking = new Map<Waited, number>();
  readonly #shaken = new Map<Waited, Wait>();

  constructor(limits: SilenceLimits) {
    this.#limits = limits;
  }

  /** Notes a connection whose handshake begins. */
  begin(connection: Waited, nowMs: number): void {
    this.#shaking.set(connection, nowMs);
  }

  /** Notes that the handshake is done, or that there is none. */
  shaken(connection: Waited, nowMs: number): void {
    this.#shaking.delete(connection);
    if (this.#limits.silentMsMax === undefined) return;
    this.#shaken.set(connection, { bytesRead: connection.bytesRead, sinceMs: nowMs });
  }

  ended(connection: Waited): void {
    this.#shaking.delete(connection);
    this.#shaken.delete(connection);
  }

  /** Ends those whose time is over, and returns their number. Must be called about once a second. */
  sweep(nowMs: number): number {
    const { handshakeMsMax, silentMsMax = Number.POSITIVE_INFINITY } = this.#limits;
    let count = 0;
    const end = (connection: Waited): void => {
      count += 1;
      this.ended(connection);
      connection.destroy();
    };
    for (const [connection, sinceMs] of this.#shaking) {
      if (nowMs - sinceMs <= handshakeMsMax) break;
      end(connection);
    }
    for (const [connection, wait] of this.#shaken) {
      const { bytesRead } = connection;
      if (bytesRead !== wait.bytesRead) Object.assign(wait, { bytesRead, sinceMs: nowMs });
      else if (nowMs - wait.sinceMs > silentMsMax) end(connection);
    }
    return count;
  }
}
