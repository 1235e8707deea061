/**
 * Requests and their answers over one subscription to a connection's own inbox. The `nats` client's own way parses the
 * header block of each answer and ends the connection where that fails; an answer may hold what any proxy stored.
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
/** A reason, so that no exception with a stack is made. */
const over = "it is over";
const tokenBytes = 12;

/** Random, so that nobody answers in another's place. */
const newToken = (): string => pooledRandomBytes(tokenBytes).toString("hex");

export class NatsRequests {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** In the order in which they were asked. */
  readonly #pending = new Map<string, Pending>();
  /** Ends the waiting for the first of them to be due; undefined: nobody waits. */
  #watching: AbortController | undefined;

  /** `inboxPrefix`: what the connection's user may subscribe to. */
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

  /** The first answer. Fails with `unavailable` after the timeout, and at once where nobody answers that subject. */
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
   * Fails what was not answered in time, until nothing waits. All have the same time, so the first that was asked is the first
   * that is due, and one timer serves for all: one for each was a twentieth of what a journaled write cost.
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

  /** NATS refused a publication to `subject`. */
  deny(subject: string): void {
    for (const [token, one] of this.#pending) {
      if (one.subject !== subject) continue;
      this.#pending.delete(token);
      one.reject(new AshlarError("denied", "NATS does not permit it"));
    }
  }

  /** The connection is gone: nothing that was asked over it is answered. */
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

/** The result of `work`; fails with `unavailable` after `timeoutMs`. */
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
