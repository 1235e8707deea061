import type { ConnectionHandler } from "./connection-handler.js";
import type { ConnectionPort } from "./connection-port.js";
import { readWord } from "./frame-reader.js";
import { drainPing, keepalivePing } from "./pings.js";
import { errorCode, frameFlag, frameType, settingId } from "./protocol.js";
import { refusal } from "./refusals.js";
import { narrowWindowBytes, type Sender } from "./sender.js";
import { closedHow } from "./stream-table.js";

const draining = { no: 0, announced: 1, final: 2 } as const;
const highestId = 0x7fff_ffff;

type ControlPort = Pick<
  ConnectionPort,
  | ("isServer" | "limits" | "peer" | "counters" | "output" | "streams" | "abuse" | "nowMs" | "lastPeerId" | "isIdle")
  | ("wake" | "fail" | "allow" | "glitch" | "lost" | "refuseFrame" | "faultStream" | "peerReset")
> & {
  readonly handler: Pick<ConnectionHandler, "onCapacity">;
  readonly sender: Pick<Sender, "setTableMax" | "widen" | "widenAll" | "window">;
  readonly clock: { pingSentMs: number };
};

/** Handles every frame that is neither HEADERS nor DATA, and the orderly end of a connection. */
export class ControlReceiver {
  readonly #connection: ControlPort;
  settingsReceived = false;
  settingsAcknowledged = false;
  #drain: number = draining.no;
  #drainSinceMs = 0;
  #peerDrains = false;
  /** Error code of the peer's last GOAWAY, or -1 if none came. */
  goawayCode = -1;
  /** Debug text of the peer's last GOAWAY, for logs. */
  goawayText = "";
  /** Streams with a higher id were opened after our last GOAWAY. */
  lastTakenId = highestId;

  constructor(connection: ControlPort) {
    this.#connection = connection;
  }

  /** Whether either side has asked that no new streams be opened. */
  get draining(): boolean {
    return this.#drain !== draining.no || this.#peerDrains;
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    switch (type) {
      case frameType.windowUpdate:
        this.#onWindowUpdate(streamId, bytes, start, end);
        break;
      case frameType.ping:
        this.#onPing(flags, streamId, bytes, start, end);
        break;
      case frameType.settings:
        this.#onSettings(flags, streamId, bytes, start, end);
        break;
      case frameType.resetStream:
        this.#onReset(streamId, bytes, start, end);
        break;
      case frameType.priority:
        this.#onPriority(streamId, bytes, start, end);
        break;
      case frameType.goaway:
        this.#onGoaway(streamId, bytes, start, end);
        break;
      case frameType.pushPromise:
        connection.fail(errorCode.protocolError, refusal.push_promise);
        break;
      default:
        connection.counters.unknownFrames++;
        connection.glitch();
    }
  }

  #onWindowUpdate(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (end - start !== 4) {
      connection.fail(errorCode.frameSizeError, refusal.frame_size);
      return;
    }
    const increment = readWord(bytes, start) % 0x8000_0000;
    const reason = connection.abuse.windowUpdate();
    if (streamId === 0) {
      if (increment === 0) connection.fail(errorCode.protocolError, refusal.flow_control);
      else if (!connection.sender.widenAll(increment))
        connection.fail(errorCode.flowControlError, refusal.flow_control);
      else if (!connection.isServer && connection.sender.window - increment < narrowWindowBytes)
        connection.handler.onCapacity();
    } else {
      const stream = connection.streams.find(streamId);
      if (stream === null) {
        if (connection.isIdle(streamId)) connection.fail(errorCode.protocolError, refusal.protocol);
      } else if (increment === 0) connection.faultStream(stream, errorCode.protocolError, refusal.stream_window);
      else if (!connection.sender.widen(stream, increment)) {
        connection.faultStream(stream, errorCode.flowControlError, refusal.stream_window);
      }
    }
    connection.allow(reason);
  }

  #onPing(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (streamId !== 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    if (end - start !== 8) {
      connection.fail(errorCode.frameSizeError, refusal.frame_size);
      return;
    }
    if ((flags & frameFlag.ack) !== 0) {
      this.#onPingAnswer(bytes[start] as number);
      return;
    }
    if (!connection.allow(connection.abuse.ping(connection.nowMs, connection.isServer))) return;
    connection.output.ping(frameFlag.ack, bytes, start);
    connection.wake();
  }

  #onPingAnswer(first: number): void {
    if (first === drainPing[0] && this.#drain === draining.announced) this.#finalGoaway();
    else if (first === keepalivePing[0] && this.#connection.clock.pingSentMs > 0) this.#connection.clock.pingSentMs = 0;
    else this.#connection.glitch();
  }

  #onSettings(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (streamId !== 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    const length = end - start;
    if ((flags & frameFlag.ack) !== 0) {
      if (length !== 0) connection.fail(errorCode.frameSizeError, refusal.frame_size);
      else if (!this.settingsReceived) connection.fail(errorCode.protocolError, refusal.preface);
      else if (this.settingsAcknowledged) connection.glitch();
      this.settingsAcknowledged = true;
      return;
    }
    if (length % 6 !== 0) {
      connection.fail(errorCode.frameSizeError, refusal.frame_size);
      return;
    }
    if (length / 6 > connection.limits.settingsEntriesMax) {
      connection.fail(errorCode.enhanceYourCalm, refusal.settings_entries);
      return;
    }
    if (!connection.allow(connection.abuse.settings(connection.nowMs))) return;
    this.settingsReceived = true;
    for (let at = start; at < end; at += 6) {
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      if (!this.#applySetting(id, readWord(bytes, at + 2))) return;
    }
    connection.output.settingsAck();
    connection.wake();
    if (!connection.isServer) connection.handler.onCapacity();
  }

  /** Applies one setting of the peer. Returns false if the connection failed. */
  #applySetting(id: number, value: number): boolean {
    const connection = this.#connection;
    const before = connection.peer.initialWindowSize;
    const code = connection.peer.apply(id, value, !connection.isServer);
    if (code !== 0) {
      connection.fail(code, refusal.settings_value);
      return false;
    }
    if (id === settingId.headerTableSize) connection.sender.setTableMax(value);
    else if (id === settingId.initialWindowSize && value !== before) {
      // The windows of open streams change by the difference and may become negative (RFC 9113, 6.9.2).
      for (const stream of connection.streams.all()) {
        if (connection.sender.widen(stream, value - before)) continue;
        connection.fail(errorCode.flowControlError, refusal.flow_control);
        return false;
      }
    }
    return true;
  }

  #onReset(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (streamId === 0 || connection.isIdle(streamId)) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    if (end - start !== 4) {
      connection.fail(errorCode.frameSizeError, refusal.frame_size);
      return;
    }
    const stream = connection.streams.find(streamId);
    connection.counters.peerResets++;
    let reason = 0;
    if (stream !== null) {
      if (connection.isServer) reason = connection.abuse.reset(stream, connection.nowMs);
      const code = readWord(bytes, start);
      connection.peerReset(stream, code, code === errorCode.refusedStream);
    } else if (connection.streams.howClosed(streamId) === closedHow.resetByPeer) connection.glitch();
    else reason = connection.abuse.lateReset(connection.nowMs);
    connection.allow(reason);
  }

  #onPriority(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (streamId === 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    if (!connection.allow(connection.abuse.priority(connection.nowMs))) return;
    let code: number = errorCode.noError;
    if (end - start !== 5) code = errorCode.frameSizeError;
    else if (readWord(bytes, start) % 0x8000_0000 === streamId) code = errorCode.protocolError;
    if (code === errorCode.noError) return;
    const stream = connection.streams.find(streamId);
    if (stream !== null) connection.faultStream(stream, code, refusal.priority);
    else if (connection.isIdle(streamId) && !(connection.isServer && (streamId & 1) === 1)) {
      connection.fail(code, refusal.priority); // the peer can never open a stream with this id
    } else connection.refuseFrame(streamId, code, refusal.priority);
  }

  #onGoaway(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (streamId !== 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    if (end - start < 8) {
      connection.fail(errorCode.frameSizeError, refusal.frame_size);
      return;
    }
    if (this.#peerDrains && !connection.glitch()) return;
    this.#peerDrains = true;
    this.goawayCode = readWord(bytes, start + 4);
    this.goawayText = printable(bytes, start + 8, end);
    const last = readWord(bytes, start) % 0x8000_0000;
    if (!connection.isServer) {
      for (const stream of connection.streams.all()) {
        if (stream.id > last) connection.peerReset(stream, errorCode.refusedStream, true);
      }
    }
    connection.handler.onCapacity();
    this.streamEnded();
  }

  /**
   * Begins the orderly end. A server announces it and waits for the answer to a PING, so that no stream that is on its
   * way is lost.
   */
  startDrain(): void {
    const connection = this.#connection;
    if (this.#drain !== draining.no) return;
    if (!connection.isServer) {
      this.#drain = draining.final;
      connection.output.goaway(0, errorCode.noError, "");
    } else {
      this.#drain = draining.announced;
      this.#drainSinceMs = connection.nowMs;
      connection.output.goaway(highestId, errorCode.noError, "");
      connection.output.ping(0, drainPing, 0);
    }
    connection.wake();
    this.streamEnded();
  }

  /** Sends the final GOAWAY if the peer does not answer the PING of `startDrain` in time. */
  checkDrain(nowMs: number, lostMs: number): void {
    this.#drainSinceMs += lostMs;
    const waited = nowMs - this.#drainSinceMs;
    if (this.#drain === draining.announced && waited > this.#connection.limits.drainPingTimeoutMs) this.#finalGoaway();
  }

  #finalGoaway(): void {
    const connection = this.#connection;
    this.#drain = draining.final;
    this.lastTakenId = connection.lastPeerId;
    connection.output.goaway(this.lastTakenId, errorCode.noError, "");
    connection.wake();
    this.streamEnded();
  }

  /** Ends a draining connection once no stream is open. */
  streamEnded(): void {
    const connection = this.#connection;
    if (connection.streams.count === 0 && (this.#drain === draining.final || this.#peerDrains)) connection.lost();
  }
}

const goawayTextMax = 64;

function printable(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end && text.length < goawayTextMax; at++) {
    const byte = bytes[at] as number;
    text += byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "_";
  }
  return text;
}
