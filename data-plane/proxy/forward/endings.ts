import { BoundedMap } from "../../../core/bounded-map.js";
import type { Logger } from "../../../runtime/log.js";
import type { Connection } from "../../http2/connection.js";
import { errorCode } from "../../http2/protocol.js";
import { refusal, refusalReasons } from "../../http2/refusals.js";

const againAfterMs = 60_000;
const keptMax = 1000;

/** Names the other end of a connection. */
export interface OtherEnd {
  readonly who: "a peer proxy" | "an application without its proxy" | "the own application" | "an egress";
  /** A proxy's SPIFFE ID or service, or the application's socket. */
  readonly name: string;
  readonly address?: string | undefined;
}

interface Told {
  readonly againMs: number;
  more: number;
}

/** Logs why connections ended that did not end in order: one warning a minute for each peer and reason. */
export class Endings {
  readonly #log: Logger | undefined;
  readonly #nowMs: () => number;
  /** What was logged, by peer and reason. */
  readonly #told = new BoundedMap<string, Told>(keptMax);

  constructor(nowMs: () => number, log: Logger | undefined) {
    this.#nowMs = nowMs;
    this.#log = log;
  }

  /** Notes that `connection` ended. */
  note(connection: Connection, other: OtherEnd): void {
    const { deadReason, control, counters } = connection;
    const isOurs = deadReason !== 0;
    if (deadReason === refusal.timeout_preface) return; // it never became an HTTP/2 connection and is reported as such
    if (!isOurs && control.goawayCode <= errorCode.noError) return;
    if (!isOurs) counters.end(refusal.by_peer);
    const reason = isOurs ? (refusalReasons[deadReason] ?? "") : `${nameOf(control.goawayCode)} ${control.goawayText}`;
    const more = this.#mayTell(`${other.name} ${reason}`);
    if (more < 0) return;
    const message = isOurs
      ? `a connection of ${other.who} was ended, with the calls on it`
      : `${other.who} ended a connection, with the calls on it`;
    const address = other.address === undefined ? {} : { address: other.address };
    const repeated = more === 0 ? {} : { moreSinceTheLastLine: more };
    this.#log?.warn(message, { peer: other.name, ...address, reason: reason.trim(), ...repeated });
  }

  /** Returns how many were not logged since the last line, or -1 if this ending is not logged either. */
  #mayTell(key: string): number {
    const nowMs = this.#nowMs();
    const told = this.#told.get(key);
    if (told !== undefined && nowMs < told.againMs) {
      told.more++;
      return -1;
    }
    this.#told.set(key, { againMs: nowMs + againAfterMs, more: 0 });
    return told?.more ?? 0;
  }
}

function nameOf(code: number): string {
  const name = Object.entries(errorCode).find(([, value]) => value === code)?.[0];
  return name === undefined ? `error ${code}` : name.replace(/[A-Z]/g, "_$&").toUpperCase();
}
