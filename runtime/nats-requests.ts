/**
 * Requests and their answers over one subscription to a connection's own inbox. The `nats` client's own way parses the
 * header block of each answer and ends the connection where that fails; an answer may hold what any proxy stored.
 */
import { randomBytes, randomFillSync } from "node:crypto";
import type { MsgHdrs, NatsConnection } from "nats";
import { AshlarError } from "../core/errors.js";
import type { Clock } from "./clock.js";
import { type RawMessage, rawMessage } from "./nats-messages.js";

interface Pending {
  readonly subject: string;
  resolve(message: RawMessage): void;
  reject(error: unknown): void;
}

const noResponders = 503;
/** A reason, so that no exception with a stack is made for each request that was answered. */
const over = "it was answered";
const tokenBytes = 12;
const pool = Buffer.alloc(tokenBytes * 256);
let poolUsed = pool.length;

/** Random, so that nobody answers in another's place. Drawn for many requests at once. */
function newToken(): string {
  if (poolUsed === pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += tokenBytes;
  return pool.toString("hex", poolUsed - tokenBytes, poolUsed);
}

export class NatsRequests {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #pending = new Map<string, Pending>();

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
        const answer = rawMessage(message);
        this.#pending.get(answer.subject.slice(this.#inbox.length + 1))?.resolve(answer);
      },
    });
  }

  /** The first answer. Fails with `unavailable` after the timeout, and at once where nobody answers that subject. */
  async ask(subject: string, data: Uint8Array | string, headers?: MsgHdrs): Promise<RawMessage> {
    const token = newToken();
    const timer = new AbortController();
    try {
      const answer = await new Promise<RawMessage>((resolve, reject) => {
        this.#pending.set(token, { subject, resolve, reject });
        const late = this.#clock.sleep(this.#timeoutMs, timer.signal);
        void late.then(() => reject(new AshlarError("unavailable", "NATS did not answer in time")));
        this.#connection.publish(subject, data, { reply: `${this.#inbox}.${token}`, ...(headers && { headers }) });
      });
      if (answer.headers?.code === noResponders && answer.data.length === 0)
        throw new AshlarError("unavailable", "no stream or no JetStream answers");
      return answer;
    } finally {
      this.#pending.delete(token);
      timer.abort(over);
    }
  }

  /** NATS refused a publication to `subject`. */
  deny(subject: string): void {
    for (const one of this.#pending.values()) {
      if (one.subject === subject) one.reject(new AshlarError("denied", "NATS does not permit it"));
    }
  }

  /** The connection is gone: nothing that was asked over it is answered. */
  interrupt(): void {
    this.#failAll(new AshlarError("unavailable", "the connection to NATS ended"));
  }

  #failAll(error: unknown): void {
    for (const one of this.#pending.values()) one.reject(error);
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
