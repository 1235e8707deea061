/** The Bus on a real NATS server. Only this file and those whose names begin with `nats-` use the `nats` client. */
import type { MsgHdrs, NatsConnection, Subscription } from "nats";
import { AshlarError, messageOf } from "../core/errors.js";
import { onAbort } from "./abort.js";
import { Backoff } from "./backoff.js";
import { BoundedQueue } from "./bounded-queue.js";
import type {
  AppendOptions,
  Bus,
  BusMessage,
  BusStatus,
  BusSubscription,
  NatsPlace,
  StoredMessage,
  StoredQuery,
  StreamInfo,
  StreamSpec,
  SystemBus,
} from "./bus.js";
import { type Clock, systemClock } from "./clock.js";
import { ConnectionStatus } from "./connection-status.js";
import { NatsDialler, type NatsOptions, reconnectDelay, refusalIn, refusalMessage } from "./nats-dial.js";
import {
  absent,
  failureOf,
  headersToAppend,
  messageFrom,
  parseAnswer,
  parseAppended,
  parseDirect,
  parseStored,
  type RawMessage,
  rawMessage,
  renderQuery,
  withHeaders,
} from "./nats-messages.js";
import { directGetSubject } from "./nats-permissions.js";
import { within } from "./nats-requests.js";
import { NatsSession } from "./nats-session.js";
import { listStreamNames, makeStream, parseStreamInfo, renderStreamConfig } from "./nats-streams.js";

/**
 * Connects in the background and reconnects for ever, with jitter. While NATS is away, the log says so and requests
 * fail with `unavailable` at once. Use `whenConnected` to wait.
 */
export function connectNats(options: NatsOptions): Bus {
  const bus = new NatsBus(options);
  void bus.run();
  return bus;
}

/** Connects a user of the system account, as `connectNats` does. */
export function connectNatsSystem(options: NatsOptions): SystemBus {
  const bus = new NatsBus(options);
  void bus.run();
  return bus;
}

interface Live {
  readonly subject: string;
  readonly queue: BoundedQueue<BusMessage>;
  current: Subscription | undefined;
}

class NatsBus implements Bus, SystemBus {
  readonly #options: NatsOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #subscriptions = new Set<Live>();
  readonly #stop = new AbortController();
  readonly #status = new ConnectionStatus(this.#stop.signal);
  readonly #dialler: NatsDialler;
  #session: NatsSession | undefined;
  #refusal: string | undefined;

  constructor(options: NatsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#dialler = new NatsDialler(options);
    if (options.signal !== undefined) onAbort(options.signal, () => void this.close());
  }

  /** Keeps one connection until closed: makes the first one, and a new one when the client stops reconnecting. */
  async run(): Promise<void> {
    const { log } = this.#options;
    const backoff = new Backoff(reconnectDelay, this.#options.random);
    let said = false;
    while (!this.#stop.signal.aborted) {
      try {
        const connection = await this.#dialler.dial(this.#timeoutMs);
        if (this.#stop.signal.aborted) {
          await connection.close();
          return;
        }
        backoff.reset();
        said = false;
        this.#refusal = undefined;
        await this.#live(connection);
      } catch (error) {
        const refused = this.#noteRefusal(error);
        const { servers } = this.#dialler;
        if (!said && !refused) log.warn("NATS is not there: waiting for it", { servers, error: messageOf(error) });
        said = !refused; // after a refusal, a success is logged again
      }
      await this.#clock.sleep(backoff.nextMs(), this.#stop.signal);
    }
  }

  /** Returns whether the server refused our user. Logs the refusal once, since waiting does not help. */
  #noteRefusal(error: unknown): boolean {
    const said = refusalIn(error);
    if (said === undefined) return false;
    const { servers } = this.#dialler;
    if (this.#refusal === undefined) this.#options.log.error(refusalMessage, { servers, answer: said });
    this.#refusal = said;
    return true;
  }

  get place(): NatsPlace | undefined {
    const connection = this.#status.connected ? this.#session?.connection : undefined;
    return connection && { address: connection.getServer(), others: connection.info?.connect_urls ?? [] };
  }

  get refusal(): string | undefined {
    return this.#status.connected ? undefined : this.#refusal;
  }

  async #live(connection: NatsConnection): Promise<void> {
    const { log, inboxPrefix } = this.#options;
    const accepted = (): void => {
      this.#refusal = undefined;
    };
    const noteRefusal = (code: string): boolean => this.#noteRefusal(code);
    const deps = { log, clock: this.#clock, status: this.#status, accepted, noteRefusal };
    const session = new NatsSession(connection, deps, inboxPrefix, this.#timeoutMs);
    this.#session = session;
    for (const live of this.#subscriptions) this.#start(live, connection);
    this.#status.set(true);
    this.moved(); // NATS may have moved while the client was dialling
    await session.follow();
    this.#session = undefined;
  }

  #start(live: Live, connection: NatsConnection): void {
    live.current = connection.subscribe(live.subject, {
      callback: (error, message) => {
        if (error === null) live.queue.push(messageFrom(rawMessage(message)));
        else this.#options.log.warn("a subscription was refused", { subject: live.subject, error: messageOf(error) });
      },
    });
  }

  get connected(): boolean {
    return this.#status.connected;
  }

  whenConnected(signal?: AbortSignal): Promise<void> {
    return this.#status.whenConnected(signal);
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.onChange(listener);
  }

  publish(subject: string, data: Uint8Array, headers?: Readonly<Record<string, string>>): boolean {
    if (!this.#status.connected || this.#session === undefined) return false; // the client would buffer without a bound
    this.#session.connection.publish(subject, data, withHeaders(headers ?? {}));
    return true;
  }

  subscribe(subject: string, options?: { readonly queueMax?: number }): BusSubscription {
    const queue = new BoundedQueue<BusMessage>(options?.queueMax ?? 1024);
    const live: Live = { subject, queue, current: undefined };
    this.#subscriptions.add(live);
    if (this.#session !== undefined) this.#start(live, this.#session.connection);
    return {
      get dropped() {
        return queue.dropped;
      },
      close: () => {
        this.#subscriptions.delete(live);
        live.current?.unsubscribe();
        queue.close();
      },
      [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
    };
  }

  async flush(): Promise<void> {
    await this.#on("flush", ({ connection }) => within(connection.flush(), this.#clock, this.#timeoutMs));
  }

  /** Runs `work` on the connection and gives every failure one of our codes and `what` was being done. */
  async #on<Result>(what: string, work: (session: NatsSession) => Promise<Result>): Promise<Result> {
    const session = this.#session;
    if (!this.#status.connected || session === undefined) throw this.#away(what);
    try {
      return await work(session);
    } catch (cause) {
      throw failureOf(what, cause);
    }
  }

  #away(what: string): AshlarError {
    const why = this.#refusal === undefined ? "NATS is not there" : `NATS refuses our credentials (${this.#refusal})`;
    return new AshlarError("unavailable", `${what}: ${why}`);
  }

  ask(subject: string, data: string): Promise<RawMessage> {
    return this.#request(`ask ${subject}`, subject, data, (answer) => answer);
  }

  /** Does what `#on` does with fewer promises: a journaled write passes here twice. Resolves to what `read` returns. */
  #request<Result>(
    what: string,
    subject: string,
    data: Uint8Array | string,
    read: (answer: RawMessage) => Result,
    headers?: MsgHdrs,
  ): Promise<Result> {
    const session = this.#session;
    if (!this.#status.connected || session === undefined) return Promise.reject(this.#away(what));
    return session.requests.ask(subject, data, headers).then(read, (cause) => {
      throw failureOf(what, cause);
    });
  }

  #api(what: string, subject: string, request: object | undefined): Promise<Record<string, unknown>> {
    const payload = request === undefined ? "" : JSON.stringify(request);
    return this.#request(what, subject, payload, (answer) => parseAnswer(answer, what));
  }

  append(subject: string, data: Uint8Array, options: AppendOptions = {}): Promise<number> {
    const what = `append to ${subject}`;
    const { onDuplicate } = options;
    // this closure, which waits for the answer, keeps neither the record nor its headers in memory
    const read = (answer: RawMessage) => parseAppended(answer, what, onDuplicate);
    return this.#request(what, subject, data, read, headersToAppend(options));
  }

  directGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined> {
    const what = `read ${stream}`;
    const read = (answer: RawMessage) => parseDirect(answer, what);
    return this.#request(what, directGetSubject(stream), JSON.stringify(renderQuery(query)), read);
  }

  async leaderGet(stream: string, query: StoredQuery): Promise<StoredMessage | undefined> {
    const subject = `$JS.API.STREAM.MSG.GET.${stream}`;
    const answer = await this.#api(`read ${stream}`, subject, renderQuery(query)).catch(absent);
    return parseStored(answer, stream);
  }

  async streamInfo(name: string): Promise<StreamInfo | undefined> {
    const answer = await this.#api(`look at stream ${name}`, `$JS.API.STREAM.INFO.${name}`, undefined).catch(absent);
    return answer === undefined ? undefined : parseStreamInfo(answer);
  }

  async streamNames(): Promise<readonly string[]> {
    return listStreamNames((offset) => this.#api("list streams", "$JS.API.STREAM.NAMES", { offset }));
  }

  async createStream(spec: StreamSpec, firstSequence = 1): Promise<void> {
    await makeStream(spec, firstSequence, this, (what, subject, request) => this.#api(what, subject, request));
  }

  async updateStream(spec: StreamSpec): Promise<void> {
    await this.#api(`update stream ${spec.name}`, `$JS.API.STREAM.UPDATE.${spec.name}`, renderStreamConfig(spec));
  }

  async eraseMessage(stream: string, sequence: number): Promise<void> {
    const request = { seq: sequence, no_erase: false };
    await this.#api(`erase message ${sequence} of ${stream}`, `$JS.API.STREAM.MSG.DELETE.${stream}`, request);
  }

  async deleteStream(name: string): Promise<void> {
    await this.#api(`delete stream ${name}`, `$JS.API.STREAM.DELETE.${name}`, undefined);
  }

  moved(): void {
    const session = this.#session;
    if (session === undefined || !this.#dialler.hasMoved) return;
    this.#session = undefined; // from now on the client throws when it publishes
    this.#status.set(false);
    session.close(); // the client would stay with its first servers
  }

  reconnect(): void {
    void this.#session?.connection.reconnect().catch(() => {});
  }

  async close(): Promise<void> {
    this.#stop.abort();
    for (const live of this.#subscriptions) live.queue.close();
    this.#subscriptions.clear();
    await this.#session?.connection.close().catch(() => {});
    this.#status.set(false);
  }
}
