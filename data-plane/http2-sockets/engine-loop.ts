import { LostTime } from "../../runtime/lost-time.js";
import type { Connection } from "../http2/connection.js";

const tickMs = 1000;
/** The number of turns with a single read after which output is written at the end of a read, not of the turn. */
const singleReadTurns = 8;
/** After that, one turn in this many is still waited for, to notice further reads. */
const turnsAlone = 16;

/** A socket with its connection, as the loop and the reaper use it. */
export interface LoopMember {
  readonly connection: Connection;
  /** The monotonic time in milliseconds since which the socket accepts no output; -1 if it does. */
  readonly writingSinceMs: number;
  /** Writes the waiting output. */
  flush(): void;
  /** Called about once a second with the time, and with how much of it since the last call was lost (`LostTime`). */
  tick(nowMs: number, lostMs: number): void;
  /** Closes the socket at once. */
  destroy(): void;
}

/** See `LoopMember.tick`. */
type Ticker = (nowMs: number, lostMs: number) => void;

/**
 * Writes, once for each turn of the event loop, what that turn produced for all connections; and tells them the time.
 * While each turn brings only one read, nothing is gathered: what a read produced is written at its end.
 */
export class EngineLoop {
  readonly #connections = new Set<LoopMember>();
  #dirty: LoopMember[] = [];
  #spare: LoopMember[] = [];
  #scheduled = false;
  /** Whether a socket's bytes are being processed. */
  #reading = false;
  /** Reads of this turn that led to output. */
  #reads = 0;
  /** The number of successive turns with a single read. */
  #singleReads = 0;
  /** The number of turns that need not be waited for; 0: this turn is waited for. */
  #ahead = 0;
  readonly #timer: NodeJS.Timeout;
  readonly #nowMs: () => number;
  readonly #lost: LostTime;
  readonly #tickers = new Set<Ticker>();
  /** Nobody notes lost time any more. */
  #stopped = false;
  /** The time at the start of this turn's work; exact enough for limits. */
  nowMs: number;

  /** `nowMs` must be monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.nowMs = nowMs();
    this.#lost = new LostTime(tickMs, this.nowMs);
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
  }

  add(connection: LoopMember): void {
    this.#connections.add(connection);
  }

  remove(connection: LoopMember): void {
    this.#connections.delete(connection);
  }

  get connections(): ReadonlySet<LoopMember> {
    return this.#connections;
  }

  /** Reads the clock, once a turn. */
  time(): number {
    if (!this.#scheduled && !this.#reading) this.nowMs = this.#nowMs();
    return this.nowMs;
  }

  /** Begins to process a socket's bytes and returns the time; `endRead` must follow. */
  beginRead(): number {
    const nowMs = this.time();
    this.#reading = true;
    return nowMs;
  }

  endRead(): void {
    this.#reading = false;
    if (this.#dirty.length === 0) return;
    this.#reads++;
    if (this.#scheduled) return;
    if (this.#ahead > 0) {
      this.#ahead--;
      this.#write();
    } else this.#schedule();
  }

  /** Schedules `connection.flush` for the end of this read or turn. */
  flushLater(connection: LoopMember): void {
    this.#dirty.push(connection);
    if (!this.#scheduled && !this.#reading) this.#schedule();
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#reads > 1) this.#singleReads = this.#ahead = 0;
    else if (this.#reads === 1 && ++this.#singleReads >= singleReadTurns) this.#ahead = turnsAlone;
    this.#write();
  };

  #write(): void {
    this.#reads = 0;
    const dirty = this.#dirty;
    this.#dirty = this.#spare;
    for (let i = 0; i < dirty.length; i++) (dirty[i] as LoopMember).flush();
    while (dirty.length > 0) dirty.pop(); // setting its length would allocate its elements again
    this.#spare = dirty;
  }

  #tick(): void {
    this.nowMs = this.#nowMs();
    const lostMs = this.#lost.turn(this.nowMs);
    for (const connection of this.#connections) connection.tick(this.nowMs, lostMs);
    for (const ticker of this.#tickers) ticker(this.nowMs, lostMs);
  }

  /** Calls `ticker` as members are called, until the returned function is called. */
  onTick(ticker: Ticker): () => void {
    this.#tickers.add(ticker);
    return () => void this.#tickers.delete(ticker);
  }

  /**
   * Calls `end` after `ms` during which this process had time for its sockets, unless the returned function is called
   * before. Also a process that is always busy has some time in each turn, which counts.
   */
  after(ms: number, end: () => void): () => void {
    const sinceMs = this.#nowMs();
    const lostBefore = this.#lost.totalMs(sinceMs);
    let lostMs = lostBefore;
    const arm = (waitMs: number): NodeJS.Timeout =>
      setTimeout(() => {
        const nowMs = this.#nowMs();
        const [before, now] = [lostMs, this.#lost.totalMs(nowMs)];
        // `LostTime` leaves out up to a tick of what was lost
        const leftMs = ms + tickMs - (nowMs - sinceMs - (now - lostBefore));
        if (now === before || leftMs <= 0 || this.#stopped) return end();
        lostMs = now;
        timer = arm(Math.min(now - before, leftMs));
      }, waitMs);
    let timer = arm(ms);
    return () => clearTimeout(timer);
  }

  /** Cuts every connection. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const connection of [...this.#connections]) connection.destroy();
  }
}
