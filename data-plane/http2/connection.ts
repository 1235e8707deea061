import { AbuseMeter } from "./abuse-meter.js";
import { ConnectionClock } from "./connection-clock.js";
import type { ConnectionDeps, ConnectionHandler } from "./connection-handler.js";
import type { ConnectionPort } from "./connection-port.js";
import { ControlReceiver } from "./control-receiver.js";
import { DataReceiver } from "./data-receiver.js";
import { FrameReader } from "./frame-reader.js";
import { FrameRouter } from "./frame-router.js";
import { greet } from "./greet.js";
import { HeaderReceiver } from "./header-receiver.js";
import type { EngineLimits } from "./limits.js";
import type { MemoryBudget } from "./memory-budget.js";
import { Output } from "./output.js";
import { errorCode, initialWindow, streamIdMax } from "./protocol.js";
import { debugData, type EngineCounters, refusal } from "./refusals.js";
import { Sender } from "./sender.js";
import { PeerSettings } from "./settings.js";
import { nobody, Stream, type StreamPort, type StreamSink, sendState } from "./stream.js";
import { closedHow, StreamTable } from "./stream-table.js";

/**
 * One HTTP/2 connection in either role (RFC 9113), without socket and clock: bytes go in through `receive` and come out
 * of `takeOutput`, and the caller tells the time. Its memory is bounded by its limits.
 */
export class Connection implements ConnectionPort, StreamPort {
  readonly isServer: boolean;
  readonly limits: EngineLimits;
  readonly handler: ConnectionHandler;
  readonly counters: EngineCounters;
  readonly output: Output;
  readonly peer = new PeerSettings();
  readonly streams: StreamTable;
  readonly abuse: AbuseMeter;
  readonly sender: Sender;
  readonly data: DataReceiver;
  readonly headers: HeaderReceiver;
  readonly control: ControlReceiver;
  readonly clock: ConnectionClock;
  /** Shared by all connections of the process. */
  readonly budget: MemoryBudget;
  readonly #reader: FrameReader;
  /** Takes the events of a stream that has no owner yet. */
  readonly noSink: StreamSink = nobody;
  nowMs: number;
  /**
   * Whether the connection has ended: nothing more is read. The owner still sends the waiting output, then closes the
   * socket.
   */
  dead = false;
  /** Why the connection ended, as an index into `refusalReasons`; for logs. */
  deadReason = 0;
  /** The highest stream id that the peer has opened. */
  lastPeerId = 0;
  #nextId = 1;
  #woken = false;

  constructor(isServer: boolean, limits: EngineLimits, deps: ConnectionDeps, nowMs: number) {
    this.isServer = isServer;
    this.limits = limits;
    this.handler = deps.handler;
    this.counters = deps.counters;
    this.nowMs = nowMs;
    this.budget = deps.pool.budget;
    this.output = new Output(deps.pool);
    this.streams = new StreamTable(limits.concurrentStreamsMax);
    this.abuse = new AbuseMeter(limits, nowMs);
    this.sender = new Sender(this, this.output, deps.pool);
    this.data = new DataReceiver(this);
    this.headers = new HeaderReceiver(this);
    this.control = new ControlReceiver(this);
    this.clock = new ConnectionClock(this, nowMs);
    this.#reader = new FrameReader(new FrameRouter(this, this.headers, this.data, this.control), isServer);
    greet(this);
  }

  /** Reads `chunk[0, length)`, which came from the socket. Must not be called from within itself. */
  receive(chunk: Uint8Array, nowMs: number, length = chunk.length): void {
    this.nowMs = nowMs;
    this.clock.lastReceivedMs = nowMs;
    this.#reader.read(chunk, length);
    this.sender.pump();
  }

  /** Tells the connection the time, about once a second. `lostMs`: for so long of it nobody read what the peer had sent. */
  tick(nowMs: number, lostMs = 0): void {
    this.nowMs = nowMs;
    if (!this.dead) this.clock.tick(nowMs, lostMs);
  }

  /**
   * Returns the chunks to write next. The owner calls it after the previous chunks are written, and `recycle` after
   * each write.
   */
  takeOutput(): Buffer[] {
    this.sender.pump();
    this.#woken = false;
    return this.output.take();
  }

  /** Clients: whether `open` will succeed. */
  get canOpen(): boolean {
    return (
      !this.dead &&
      !this.isServer &&
      !this.control.draining &&
      this.streams.slots < this.peer.maxConcurrentStreams &&
      this.#nextId <= streamIdMax
    );
  }

  /** Clients: whether a stream was ever opened. */
  get hasOpened(): boolean {
    return this.#nextId > 1;
  }

  /**
   * Clients: opens a stream, on which the caller first calls `sendFields`. Returns null if the peer takes no more
   * (`canOpen`).
   */
  open(sink: StreamSink, nowMs = this.nowMs): Stream | null {
    if (!this.canOpen) return null;
    const stream = new Stream(this, this.#nextId, sink, this.newStreamWindow, this.peer.initialWindowSize, nowMs);
    this.#nextId += 2;
    this.streams.add(stream);
    this.counters.streams++;
    this.clock.pings = 0;
    this.abuse.request();
    return stream;
  }

  /**
   * How many bytes the peer may send at once on a new stream: at least the protocol's default until it has acknowledged
   * our SETTINGS.
   */
  get newStreamWindow(): number {
    const { streamWindowBytes } = this.limits;
    return this.control.settingsAcknowledged ? streamWindowBytes : Math.max(streamWindowBytes, initialWindow);
  }

  /** Ends the connection in order: refuses new streams and lets open ones finish. A server sends two GOAWAYs. */
  shutdown(nowMs: number): void {
    this.nowMs = nowMs;
    if (!this.dead) this.control.startDrain();
  }

  /** The socket is closed, or must be closed at once: ends all streams. */
  lost(): void {
    if (this.dead) return;
    this.dead = true;
    this.#endStreams(errorCode.cancel);
    this.wake();
  }

  wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    this.handler.onWork();
  }

  /** A connection error (RFC 9113, 5.4.1). */
  fail(code: number, reason: number): void {
    if (this.dead) return;
    this.dead = true;
    this.deadReason = reason;
    this.counters.refuse(reason);
    this.counters.end(reason);
    this.output.goaway(this.lastPeerId, code, debugData(reason));
    this.#endStreams(code);
    this.wake();
  }

  /**
   * Ends the connection after `receive`, `tick` or `takeOutput` threw: any stream may be half processed, so none
   * continues.
   */
  crash(): void {
    if (this.dead) this.counters.refuse(refusal.internal);
    else this.fail(errorCode.internalError, refusal.internal);
  }

  #endStreams(code: number): void {
    this.headers.drop();
    for (const stream of this.streams.all()) this.#remove(stream, closedHow.resetByUs, code, true, false);
  }

  /**
   * Ends the connection if `reason`, which the abuse meter returned, is not 0. Returns false if the connection ended.
   */
  allow(reason: number): boolean {
    if (reason !== 0) this.fail(errorCode.enhanceYourCalm, reason);
    return reason === 0;
  }

  /** Counts a small fault. Returns false if that was one too many and the connection ended. */
  glitch(): boolean {
    return this.allow(this.abuse.glitch(this.nowMs));
  }

  /** Whether neither side has opened this stream yet. */
  isIdle(streamId: number): boolean {
    const ours = ((streamId & 1) === 1) !== this.isServer;
    return ours ? streamId >= this.#nextId : streamId > this.lastPeerId;
  }

  /** Whether the peer opened the stream after our last GOAWAY, so that its frames are ignored. */
  ignores(streamId: number): boolean {
    return this.isServer && streamId > this.control.lastTakenId;
  }

  /** Answers a frame for a stream that is not open with a reset, and counts it as a fault of the peer. */
  refuseFrame(streamId: number, code: number, reason: number): void {
    this.counters.refuse(reason);
    if (!this.isServer) this.glitch();
    this.streams.remember(streamId, closedHow.resetByUs);
    this.abuse.expectLate();
    this.#countOwnReset(streamId, code);
  }

  /** Resets an open stream for a fault of the peer. */
  faultStream(stream: Stream, code: number, reason: number): void {
    this.counters.refuse(reason);
    this.#countOwnReset(stream.id, code);
    this.#remove(stream, closedHow.resetByUs, code, true, false);
  }

  #countOwnReset(streamId: number, code: number): void {
    this.counters.ownResets++;
    this.output.resetStream(streamId, code);
    // A client opened each stream itself, which bounds how many it resets.
    if (this.isServer) this.allow(this.abuse.ownReset(code, this.nowMs));
    this.wake();
  }

  /** Resets an open stream that costs more than it carries, and charges the peer for it. Other streams continue. */
  calm(stream: Stream, reason: number): void {
    const flood = this.isServer ? this.abuse.reset(stream, this.nowMs) : 0;
    this.reap(stream, errorCode.enhanceYourCalm, reason);
    this.allow(flood);
  }

  /** Resets an open stream for its cost, without charging the peer. */
  reap(stream: Stream, code: number, reason: number): void {
    if (stream.closed) return;
    this.counters.refuse(reason);
    this.output.resetStream(stream.id, code);
    this.#remove(stream, closedHow.resetByUs, code, true, false);
    this.wake();
  }

  /** See `Stream.reset`. A client's stream on which nothing was sent ends without a RST_STREAM. */
  resetStream(stream: Stream, code: number): void {
    if (stream.closed) return;
    if (this.isServer || stream.sending !== sendState.idle) this.output.resetStream(stream.id, code);
    this.#remove(stream, closedHow.resetByUs, code, false, false);
    this.wake();
  }

  /** Removes a stream that the peer reset or will not process, and tells its owner. */
  peerReset(stream: Stream, code: number, unprocessed: boolean): void {
    const sink = stream.sink;
    this.#remove(stream, closedHow.resetByPeer, code, false, unprocessed);
    sink.onReset(stream, code, true, unprocessed);
    this.streams.freeSlot(stream);
  }

  #remove(stream: Stream, how: number, code: number, tell: boolean, unprocessed: boolean): void {
    if (stream.closed) return;
    this.streams.remove(stream, how);
    if (how === closedHow.resetByUs) this.abuse.expectLate();
    this.data.drop(stream);
    this.sender.drop(stream);
    if (tell) this.#tellReset(stream, code, unprocessed);
    if (tell || how === closedHow.resetByUs || how === closedHow.ended) this.streams.freeSlot(stream);
    if (!this.dead) this.control.streamEnded();
  }

  /** Tells a stream's owner of the reset. If one owner throws, the others are still told. */
  #tellReset(stream: Stream, code: number, unprocessed: boolean): void {
    try {
      stream.sink.onReset(stream, code, false, unprocessed);
    } catch (error) {
      this.handler.onFault(error);
      this.crash();
    }
  }

  endedReceiving(stream: Stream): void {
    if (stream.sending === sendState.ended) this.#remove(stream, closedHow.ended, errorCode.noError, false, false);
  }

  endedSending(stream: Stream): void {
    if (stream.receiveEnded) this.#remove(stream, closedHow.ended, errorCode.noError, false, false);
    else if (this.isServer) {
      // The answer came before the request ended: the rest of the request is of no use (RFC 9113, 8.1).
      this.output.resetStream(stream.id, errorCode.noError);
      this.#remove(stream, closedHow.resetByUs, errorCode.noError, false, false);
    }
  }
}
