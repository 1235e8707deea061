/** Bounds on how slow an HTTP/1.1 client may be. Times are in milliseconds of a clock that never goes back. */
import type { BodyForm } from "./request-head.js";

/** The head of a request must be complete after this time. */
const headMs = 10_000;
/** A connection without a request is closed after this time. */
const idleMs = 60_000;
/** A chunked body may pause for this long, like the stream of a client that has nothing to send. */
const restMs = 300_000;
/** A body of known length must average a byte a millisecond once this time has passed. */
const graceMs = 20_000;
/** A client that reads nothing is dropped after the first time; if room is short, after the second. */
const stallMs = 300_000;
const stallTightMs = 5000;

export interface Doing {
  readonly isWithinHead: boolean;
  /** A body is expected, and the client may send it. */
  readonly isInBody: boolean;
  readonly isWriting: boolean;
  /** There is no request. */
  readonly isIdle: boolean;
  /** Room in the process' budget is short. */
  readonly isTight: boolean;
}

export class Pace {
  /** Since when the connection is idle, or the head is arriving. */
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

  /** Notes that this process did not read for a while, which is not the client's fault. */
  resumes(nowMs: number): void {
    this.#bodyMs += nowMs - this.#cameMs;
    this.#cameMs = nowMs;
  }

  /** Notes that output was begun or read. */
  writes(nowMs: number): void {
    this.#writtenMs = nowMs;
  }

  /** Notes that this process did not read the client's bytes for `lostMs`. */
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
