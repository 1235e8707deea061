import type { ConnectionPort } from "./connection-port.js";
import { keepalivePing } from "./pings.js";
import { errorCode } from "./protocol.js";
import { refusal } from "./refusals.js";

type ClockPort = Pick<ConnectionPort, "dead" | "limits" | "output" | "streams" | "fail" | "reap" | "wake"> & {
  readonly control: {
    readonly settingsReceived: boolean;
    readonly settingsAcknowledged: boolean;
    checkDrain(nowMs: number, lostMs: number): void;
  };
  readonly headers: { readonly openStreamId: number; openSinceMs: number };
  readonly sender: { readonly waitingBytes: number };
};

/** Ends what took too long on a connection, and sends keepalive PINGs. */
export class ConnectionClock {
  readonly #connection: ClockPort;
  #startedMs: number;
  lastReceivedMs: number;
  /** When our unanswered keepalive PING was sent, or 0. */
  pingSentMs = 0;
  /** Keepalive PINGs sent since a stream was last opened. */
  pings = 0;

  constructor(connection: ClockPort, nowMs: number) {
    this.#connection = connection;
    this.#startedMs = nowMs;
    this.lastReceivedMs = nowMs;
  }

  tick(nowMs: number, lostMs: number): void {
    const connection = this.#connection;
    const { limits } = connection;
    if (lostMs > 0) this.#forgive(lostMs);
    if (!connection.control.settingsReceived && nowMs - this.#startedMs > limits.prefaceTimeoutMs) {
      connection.fail(errorCode.protocolError, refusal.timeout_preface);
      return;
    }
    if (!connection.control.settingsAcknowledged && nowMs - this.#startedMs > limits.settingsAckTimeoutMs) {
      connection.fail(errorCode.settingsTimeout, refusal.timeout_settings);
      return;
    }
    if (connection.headers.openStreamId !== 0 && nowMs - connection.headers.openSinceMs > limits.headerBlockTimeoutMs) {
      connection.fail(errorCode.enhanceYourCalm, refusal.timeout_headers);
      return;
    }
    connection.control.checkDrain(nowMs, lostMs);
    this.#keepAlive(nowMs);
    if (connection.sender.waitingBytes > 0) this.#endStalled(nowMs);
  }

  /** What the peer sent in time may lie unread. */
  #forgive(lostMs: number): void {
    const { headers, sender, streams } = this.#connection;
    this.#startedMs += lostMs;
    headers.openSinceMs += lostMs;
    if (this.pingSentMs > this.lastReceivedMs) this.pingSentMs += lostMs;
    if (sender.waitingBytes === 0) return;
    for (const stream of streams.all()) if (stream.stalledSinceMs > 0) stream.stalledSinceMs += lostMs;
  }

  #keepAlive(nowMs: number): void {
    const connection = this.#connection;
    const { keepaliveMs, keepaliveTimeoutMs, keepalivesAtPaceMax, patientKeepaliveMs } = connection.limits;
    if (keepaliveMs === 0 || connection.dead) return;
    if (this.pingSentMs > 0) {
      if (this.lastReceivedMs >= this.pingSentMs) this.pingSentMs = 0;
      else if (nowMs - this.pingSentMs > keepaliveTimeoutMs)
        connection.fail(errorCode.noError, refusal.timeout_keepalive);
      return;
    }
    if (!connection.limits.keepaliveIdle && connection.streams.count === 0) return;
    const paceMs = this.pings < keepalivesAtPaceMax ? keepaliveMs : patientKeepaliveMs;
    if (nowMs - this.lastReceivedMs > paceMs) {
      this.pingSentMs = nowMs;
      this.pings++;
      connection.output.ping(0, keepalivePing, 0);
      connection.wake();
    }
  }

  #endStalled(nowMs: number): void {
    const connection = this.#connection;
    for (const stream of connection.streams.all()) {
      if (stream.waitingBytes === 0 || nowMs - stream.stalledSinceMs <= connection.limits.stallTimeoutMs) continue;
      connection.reap(stream, errorCode.cancel, refusal.stalled);
    }
  }
}
