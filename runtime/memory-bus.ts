/** NATS and JetStream in memory, for tests and simulations: streams, republish, compare-and-set, subscriptions. */
import { AshlarError } from "../core/errors.js";
import { BoundedQueue } from "./bounded-queue.js";
import type {
  AppendOptions,
  Bus,
  BusMessage,
  BusStatus,
  BusSubscription,
  StoredMessage,
  StoredQuery,
  StreamInfo,
  StreamSpec,
} from "./bus.js";
import { type Clock, systemClock } from "./clock.js";
import { ConnectionStatus } from "./connection-status.js";
import {
  eraseFrom,
  infoOf,
  type MemoryStream,
  makeRoom,
  matchesSubject,
  republishedTo,
  sequenceOfId,
  storeQuietly,
  streamOf,
} from "./memory-streams.js";
import type { NatsPermissions } from "./nats-permissions.js";

interface Listener {
  readonly pattern: string;
  readonly queue: BoundedQueue<BusMessage>;
}

/** The broker that the buses of several processes share. */
export class MemoryBroker {
  readonly #streams = new Map<string, MemoryStream>();
  readonly #listeners = new Set<Listener>();
  readonly #buses = new Set<MemoryBus>();
  readonly #clock: Pick<Clock, "nowMs">;
  #made = 0;
  #up = true;

  constructor(clock: Pick<Clock, "nowMs"> = systemClock) {
    this.#clock = clock;
  }

  /** Returns a connection; with `permissions` it may do only what they allow. */
  connect(permissions?: NatsPermissions): Bus {
    const bus = new MemoryBus(this, permissions);
    this.#buses.add(bus);
    return bus;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Makes NATS available or unavailable for all connections. */
  setUp(up: boolean): void {
    this.#up = up;
    for (const bus of this.#buses) bus.changed();
  }

  erase(name: string, sequence: number): void {
    eraseFrom(this.#streams.get(name), name, sequence);
  }

  /** Deletes a stream with all its messages, as a lost disk would. */
  deleteStream(name: string): void {
    this.#streams.delete(name);
  }

  listen(pattern: string, queue: BoundedQueue<BusMessage>): () => void {
    const listener = { pattern, queue };
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  deliver(message: BusMessage): void {
    for (const { pattern, queue } of this.#listeners) if (matchesSubject(pattern, message.subject)) queue.push(message);
  }

  create(spec: StreamSpec, firstSequence = 1): void {
    const found = this.#streams.get(spec.name);
    if (found !== undefined && JSON.stringify(found.spec) !== JSON.stringify(spec)) {
      throw new AshlarError("exists", `create stream ${spec.name}: stream name already in use`);
    }
    if (found !== undefined) return;
    this.#made += 1;
    this.#streams.set(spec.name, {
      spec,
      created: `stream ${this.#made}`,
      messages: [],
      lastSequence: firstSequence - 1,
      ids: new Map(),
    });
  }

  update(spec: StreamSpec): void {
    const stream = this.#streams.get(spec.name);
    if (stream === undefined) throw new AshlarError("not_found", `update stream ${spec.name}: there is none`);
    stream.spec = spec;
  }

  names(): readonly string[] {
    return [...this.#streams.keys()];
  }

  info(name: string): StreamInfo | undefined {
    const stream = this.#streams.get(name);
    return stream && infoOf(stream);
  }

  streamFor = (subject: string): MemoryStream | undefined => streamOf(this.#streams.values(), subject);

  store(subject: string, data: Uint8Array, { expectLastSequence, headers = {}, onDuplicate }: AppendOptions): number {
    const stream = this.streamFor(subject);
    const what = `append to ${subject}`;
    if (stream === undefined) throw new AshlarError("unavailable", `${what}: no stream or no JetStream answers`);
    if (expectLastSequence !== undefined && expectLastSequence !== stream.lastSequence) {
      throw new AshlarError("conflict", `${what}: wrong last sequence: ${stream.lastSequence}`);
    }
    if (data.length > (stream.spec.maxMessageBytes ?? Number.POSITIVE_INFINITY))
      throw new AshlarError("invalid_argument", `${what}: message size exceeds maximum allowed`);
    const same = sequenceOfId(stream, headers["Nats-Msg-Id"], this.#clock.nowMs());
    if (same !== undefined) {
      onDuplicate?.();
      return same;
    }
    makeRoom(stream, subject, data.length, what);
    const before = stream.messages.findLast((message) => message.subject === subject)?.sequence ?? 0;
    stream.lastSequence += 1;
    const sequence = stream.lastSequence;
    const copy = data.slice();
    const header = (name: string): string | undefined => headers[name];
    const origin = { stream: stream.spec.name, subject };
    const storedMs = this.#clock.nowMs();
    const id = headers["Nats-Msg-Id"];
    if (id !== undefined) stream.ids.set(id, { sequence, atMs: storedMs });
    stream.messages.push({ subject, data: copy, header, relayed: false, origin, sequence, storedMs });
    this.deliver({ subject, data: copy, header, relayed: false, origin: undefined });
    const { republish, name } = stream.spec;
    if (republish !== undefined) {
      const own: Record<string, string> = { "Nats-Sequence": `${sequence}`, "Nats-Last-Sequence": `${before}` };
      this.deliver({
        subject: republishedTo(republish, subject),
        data: republish.headersOnly === true ? new Uint8Array() : copy,
        header: (field) => own[field] ?? headers[field],
        relayed: true,
        origin: { stream: name, subject },
      });
    }
    return sequence;
  }

  read(name: string, query: StoredQuery): StoredMessage | undefined {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new AshlarError("unavailable", `read ${name}: no stream or no JetStream answers`);
    const { messages } = stream;
    if ("sequence" in query) return messages.find((message) => message.sequence === query.sequence);
    if ("lastOf" in query) return messages.findLast((message) => matchesSubject(query.lastOf, message.subject));
    return messages.find(({ sequence, subject }) => sequence >= query.from && matchesSubject(query.nextOf, subject));
  }
}

class MemoryBus implements Bus {
  readonly #broker: MemoryBroker;
  readonly #permissions: NatsPermissions | undefined;
  readonly #subscriptions = new Set<BusSubscription>();
  readonly #closed = new AbortController();
  readonly #status: ConnectionStatus;

  constructor(broker: MemoryBroker, permissions: NatsPermissions | undefined) {
    this.#broker = broker;
    this.#permissions = permissions;
    this.#status = new ConnectionStatus(this.#closed.signal, broker.up);
  }

  get connected(): boolean {
    return this.#status.connected;
  }

  /** Applies that the broker became available or unavailable. */
  changed(): void {
    this.#status.set(this.#broker.up && !this.#closed.signal.aborted);
  }

  whenConnected(signal?: AbortSignal): Promise<void> {
    return this.#status.whenConnected(signal);
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.onChange(listener);
  }

  /** Makes the operation asynchronous, as on a network, and checks that it is allowed. */
  async #may(subject: string, what: string): Promise<void> {
    await Promise.resolve();
    if (!this.connected) throw new AshlarError("unavailable", `${what}: NATS is not there`);
    const allowed = this.#permissions?.publish.some((pattern) => matchesSubject(pattern, subject)) ?? true;
    if (!allowed) throw new AshlarError("denied", `${what}: NATS does not permit it`);
  }

  publish(subject: string, data: Uint8Array, headers: Readonly<Record<string, string>> = {}): boolean {
    if (!this.connected) return false;
    const allowed = this.#permissions?.publish.some((pattern) => matchesSubject(pattern, subject)) ?? true;
    const header = (name: string): string | undefined => headers[name];
    if (allowed && this.#broker.streamFor(subject)?.spec.noAck === true)
      storeQuietly(headers, (options) => this.#broker.store(subject, data, options));
    else if (allowed) this.#broker.deliver({ subject, data: data.slice(), header, relayed: false, origin: undefined });
    return true;
  }

  subscribe(subject: string, options?: { readonly queueMax?: number }): BusSubscription {
    const queue = new BoundedQueue<BusMessage>(options?.queueMax ?? 1024);
    const allowed = this.#permissions?.subscribe.includes(subject) ?? true;
    const within = this.#permissions?.subscribe.some((pattern) => matchesSubject(pattern, subject)) ?? true;
    const off = allowed || within ? this.#broker.listen(subject, queue) : () => {};
    const subscription: BusSubscription = {
      get dropped() {
        return queue.dropped;
      },
      close: () => {
        off();
        queue.close();
        this.#subscriptions.delete(subscription);
      },
      [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async flush(): Promise<void> {
    await Promise.resolve();
    if (!this.connected) throw new AshlarError("unavailable", "flush: NATS is not there");
  }

  async append(subject: string, data: Uint8Array, options: AppendOptions = {}): Promise<number> {
    await this.#may(subject, `append to ${subject}`);
    const sequence = this.#broker.store(subject, data, options);
    if (this.#broker.streamFor(subject)?.spec.noAck === true)
      throw new AshlarError("unavailable", `append to ${subject}: NATS did not answer in time`);
    return sequence;
  }

  async directGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined> {
    await this.#may(`$JS.API.DIRECT.GET.${stream}`, `read ${stream}`);
    return this.#broker.read(stream, query);
  }

  async leaderGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined> {
    await this.#may(`$JS.API.STREAM.MSG.GET.${stream}`, `read ${stream}`);
    return this.#broker.info(stream) === undefined ? undefined : this.#broker.read(stream, query);
  }

  async streamInfo(name: string): Promise<StreamInfo | undefined> {
    await this.#may(`$JS.API.STREAM.INFO.${name}`, `look at stream ${name}`);
    return this.#broker.info(name);
  }

  async streamNames(): Promise<readonly string[]> {
    await this.#may("$JS.API.STREAM.NAMES", "list streams");
    return this.#broker.names();
  }

  async createStream(spec: StreamSpec, firstSequence = 1): Promise<void> {
    await this.#may(`$JS.API.STREAM.CREATE.${spec.name}`, `create stream ${spec.name}`);
    this.#broker.create(spec, firstSequence);
  }

  async updateStream(spec: StreamSpec): Promise<void> {
    await this.#may(`$JS.API.STREAM.UPDATE.${spec.name}`, `update stream ${spec.name}`);
    this.#broker.update(spec);
  }

  async eraseMessage(stream: string, sequence: number): Promise<void> {
    await this.#may(`$JS.API.STREAM.MSG.DELETE.${stream}`, `erase message ${sequence} of ${stream}`);
    this.#broker.erase(stream, sequence);
  }

  async deleteStream(name: string): Promise<void> {
    await this.#may(`$JS.API.STREAM.DELETE.${name}`, `delete stream ${name}`);
    this.#broker.deleteStream(name);
  }

  reconnect(): void {
    this.changed();
  }

  moved(): void {}

  async close(): Promise<void> {
    this.#closed.abort();
    for (const subscription of [...this.#subscriptions]) subscription.close();
    this.changed();
  }
}
