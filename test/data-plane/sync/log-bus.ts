/** The part of a Bus that readers of the logs use, in memory: streams, republishing, direct gets; it can go away. */
import { AshlarError } from "../../../core/errors.js";
import { blobStream, logNames, streamOf } from "../../../core/wire/subjects.js";
import { BoundedQueue } from "../../../runtime/bounded-queue.js";
import type {
  AppendOptions,
  Bus,
  BusMessage,
  BusStatus,
  BusSubscription,
  StoredMessage,
  StoredQuery,
} from "../../../runtime/bus.js";

export class LogBus implements Bus {
  readonly streams = new Map<string, StoredMessage[]>();
  readonly #queues = new Set<BoundedQueue<BusMessage>>();
  readonly #listeners = new Set<(status: BusStatus) => void>();
  /** What a reader receives as it is committed; false: it is lost. */
  delivers = true;
  connected = false;
  gets = 0;

  setConnected(connected: boolean): void {
    this.connected = connected;
    for (const listener of this.#listeners) listener({ connected });
  }

  async append(subject: string, data: Uint8Array, options: AppendOptions = {}): Promise<number> {
    const log = logNames.find((name) => subject.startsWith(`ashlar.log.${name}.`));
    const name = log === undefined ? blobStream : streamOf[log];
    const stream = this.streams.get(name) ?? [];
    const message = { subject, data, relayed: false, sequence: stream.length + 1, header: headerOf(options) };
    this.streams.set(name, [...stream, message]);
    if (log !== undefined) this.#deliver({ ...message, subject: subject.replace("ashlar.log.", "ashlar.read.") });
    return message.sequence;
  }

  publish(subject: string, data: Uint8Array): boolean {
    this.#deliver({ subject, data, relayed: false, header: () => undefined });
    return this.connected;
  }

  #deliver(message: BusMessage): void {
    if (this.connected && this.delivers) for (const queue of this.#queues) queue.push(message);
  }

  subscribe(): BusSubscription {
    const queue = new BoundedQueue<BusMessage>(1024);
    this.#queues.add(queue);
    return {
      dropped: 0,
      close: () => queue.close(),
      [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
    };
  }

  async directGet(name: string, query: StoredQuery): Promise<StoredMessage | undefined> {
    this.gets += 1;
    if (!this.connected) throw new AshlarError("unavailable", "NATS is not there");
    const stream = this.streams.get(name) ?? [];
    if ("sequence" in query) return stream[query.sequence - 1];
    if ("lastOf" in query) return [...stream].reverse().find((one) => matches(query.lastOf, one.subject));
    return stream.find((one) => one.sequence >= query.from && matches(query.nextOf, one.subject));
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async whenConnected(): Promise<void> {}
  async flush(): Promise<void> {}
  async leaderGet(): Promise<undefined> {}
  async streamInfo(): Promise<undefined> {}
  async createStream(): Promise<void> {}
  async close(): Promise<void> {}
}

const headerOf =
  (options: AppendOptions) =>
  (name: string): string | undefined =>
    options.headers?.[name];

const matches = (pattern: string, subject: string): boolean =>
  pattern.endsWith("*") ? subject.startsWith(pattern.slice(0, -1)) : subject === pattern;
