/** How slow a client of HTTP/1.1 may be. Times are in milliseconds of a clock that never goes back. */
import type { BodyForm } from "./request-head.js";

/** The head of a request must be whole after this time. */
const headMs = 10_000;
/** A connection without a request is closed after this time. */
const idleMs = 60_000;
/** A body in chunks may rest for this long, as the stream of a client that has nothing to say. */
const restMs = 300_000;
/** A body of known length must bring a byte a millisecond on average, once this time has passed. */
const graceMs = 20_000;
/** A client that reads nothing is given up after this time; if room is short, after the second. */
const stallMs = 300_000;
const stallTightMs = 5000;

export interface Doing {
  readonly isWithinHead: boolean;
  /** A body is awaited, and the client may send it. */
  readonly isInBody: boolean;
  readonly isWriting: boolean;
  /** There is no request. */
  readonly isIdle: boolean;
  /** Room in the process' budget is short. */
  readonly isTight: boolean;
}

export class Pace {
  /** Since when the connection idles, or the head comes. */
  #sinceMs: number;
  #cameMs: number;
  #bodyMs = 0;
  #bodyBytes = 0;
  #isSized = false;
  #writtenMs = 0;
  #isWaiting = true;

  constructor(nowMs: number) {
    this.#sinceMs = this.#cameMs = nowMs;
  }

  came(bytes: number, nowMs: number): void {
    if (this.#isWaiting) {
      this.#isWaiting = false;
      this.#sinceMs = nowMs;
    }
    this.#cameMs = nowMs;
    this.#bodyBytes += bytes;
  }

  bodyBegins(form: BodyForm, nowMs: number): void {
    this.#bodyMs = nowMs;
    this.#bodyBytes = 0;
    this.#isSized = form !== "chunked";
  }

  /** We did not read for a while: the client is not to blame. */
  resumes(nowMs: number): void {
    this.#bodyMs += nowMs - this.#cameMs;
    this.#cameMs = nowMs;
  }

  /** Output was begun or taken. */
  writes(nowMs: number): void {
    this.#writtenMs = nowMs;
  }

  /** For so long we did not look at what the client sent. */
  forgive(lostMs: number): void {
    this.#sinceMs += lostMs;
    this.#cameMs += lostMs;
    this.#bodyMs += lostMs;
    this.#writtenMs += lostMs;
  }

  idles(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#isWaiting = true;
  }

  /** Returns what took too long, or undefined. */
  lateFor(nowMs: number, { isWithinHead, isInBody, isWriting, isIdle, isTight }: Doing): Late | undefined {
    if (isWriting) return nowMs - this.#writtenMs > (isTight ? stallTightMs : stallMs) ? "stalled" : undefined;
    if (isWithinHead) return nowMs - this.#sinceMs > headMs ? "request" : undefined;
    if (isInBody) return this.#isBodyLate(nowMs) ? "request" : undefined;
    return isIdle && nowMs - this.#sinceMs > idleMs ? "idle" : undefined;
  }

  #isBodyLate(nowMs: number): boolean {
    if (nowMs - this.#cameMs > restMs) return true;
    return this.#isSized && this.#bodyBytes < nowMs - this.#bodyMs - graceMs;
  }
}

export type Late = "request" | "idle" | "stalled";
