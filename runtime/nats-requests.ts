/**
 * Requests and their answers over one subscription to a connection's own inbox. The `nats` client's own method parses
 * the header block of each answer and ends the connection if that fails, and an answer may contain what any proxy
 * stored.
 */
import { randomBytes } from "node:crypto";
import type { MsgHdrs, NatsConnection } from "nats";
import { AshlarError } from "../core/errors.js";
import type { Clock } from "./clock.js";
import { type RawMessage, rawMessage } from "./nats-messages.js";
import { pooledRandomBytes } from "./random-pool.js";

interface Pending {
  readonly subject: string;
  readonly dueMs: number;
  resolve(message: RawMessage): void;
  reject(error: unknown): void;
}

const noResponders = 503;
/** An abort reason that is no Error, so that no stack trace is built. */
const over = "it is over";
const tokenBytes = 12;

/** Returns a random token, so that nobody else can answer a request. */
const newToken = (): string => pooledRandomBytes(tokenBytes).toString("hex");

export class NatsRequests {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Open requests, in the order in which they were sent. */
  readonly #pending = new Map<string, Pending>();
  /** Ends the wait for the first of them to time out; undefined: nothing waits. */
  #watching: AbortController | undefined;

  /** `inboxPrefix`: the prefix that the connection's user may subscribe to. */
  constructor(
    connection: NatsConnection,
    inboxPrefix: string,
    { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
  ) {
    this.#connection = connection;
    this.#inbox = `${inboxPrefix}.${randomBytes(12).toString("hex")}`;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) return this.#failAll(error);
        this.#answered(rawMessage(message));
      },
    });
  }

  /**
   * Sends a request and returns the first answer. Fails with `unavailable` after the timeout, and at once if nobody
   * listens on the subject.
   */
  ask(subject: string, data: Uint8Array | string, headers?: MsgHdrs): Promise<RawMessage> {
    const token = newToken();
    const dueMs = this.#clock.monotonicMs() + this.#timeoutMs;
    return new Promise<RawMessage>((resolve, reject) => {
      this.#pending.set(token, { subject, dueMs, resolve, reject });
      if (this.#watching === undefined) void this.#watch();
      try {
        const reply = `${this.#inbox}.${token}`;
        this.#connection.publish(subject, data, headers === undefined ? { reply } : { reply, headers });
      } catch (error) {
        this.#pending.delete(token);
        reject(error);
      }
    });
  }

  #answered(answer: RawMessage): void {
    const token = answer.subject.slice(this.#inbox.length + 1);
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#pending.delete(token);
    if (answer.headers?.code === noResponders && answer.data.length === 0)
      pending.reject(new AshlarError("unavailable", "no stream or no JetStream answers"));
    else pending.resolve(answer);
  }

  /**
   * Fails the requests that are not answered in time, until none is open. All have the same timeout, so the oldest is
   * due first and one timer serves all. A timer for each took a twentieth of the CPU of a journaled write.
   */
  async #watch(): Promise<void> {
    const watching = new AbortController();
    this.#watching = watching;
    while (!watching.signal.aborted) {
      const [first] = this.#pending;
      if (first === undefined) break;
      const [token, { dueMs, reject }] = first;
      const leftMs = dueMs - this.#clock.monotonicMs();
      if (leftMs > 0) {
        await this.#clock.sleep(leftMs, watching.signal);
        continue;
      }
      this.#pending.delete(token);
      reject(new AshlarError("unavailable", "NATS did not answer in time"));
    }
    if (this.#watching === watching) this.#watching = undefined;
  }

  /** Fails the open requests to `subject`, because NATS refused the publication. */
  deny(subject: string): void {
    for (const [token, one] of this.#pending) {
      if (one.subject !== subject) continue;
      this.#pending.delete(token);
      one.reject(new AshlarError("denied", "NATS does not permit it"));
    }
  }

  /** Fails all open requests, because the connection is gone. */
  interrupt(): void {
    this.#watching?.abort(over);
    this.#watching = undefined;
    this.#failAll(new AshlarError("unavailable", "the connection to NATS ended"));
  }

  #failAll(error: unknown): void {
    const failed = [...this.#pending.values()];
    this.#pending.clear();
    for (const one of failed) one.reject(error);
  }
}

/** Returns the result of `work`; fails with `unavailable` after `timeoutMs`. */
export async function within<Result>(work: Promise<Result>, clock: Clock, timeoutMs: number): Promise<Result> {
  const timer = new AbortController();
  const late = clock.sleep(timeoutMs, timer.signal).then(() => {
    throw new AshlarError("unavailable", "NATS did not answer in time");
  });
  late.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort(over);
  }
}
