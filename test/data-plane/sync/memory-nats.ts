/** NATS in memory with the streams of a mesh. */
import { streamSpecs } from "../../../control-plane/store/streams.js";
import type { Bus } from "../../../runtime/bus.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";

export function createMemoryNats(): MemoryBroker {
  const broker = new MemoryBroker();
  for (const spec of streamSpecs({ replicas: 1 })) broker.create(spec);
  return broker;
}

/** A connection to nowhere. */
export function createOfflineBus(): Bus {
  const broker = new MemoryBroker();
  broker.setUp(false);
  return broker.connect();
}

/** What a reader sees of a bus whose messages can be lost and whose reads are counted. */
export class LossyBus implements Bus {
  readonly #bus: Bus;
  loses = false;
  reads = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  get connected(): boolean {
    return this.#bus.connected;
  }

  subscribe(subject: string, options?: { readonly queueMax?: number }): ReturnType<Bus["subscribe"]> {
    const inner = this.#bus.subscribe(subject, options);
    const loses = (): boolean => this.loses;
    return {
      get dropped() {
        return inner.dropped;
      },
      close: () => inner.close(),
      async *[Symbol.asyncIterator]() {
        for await (const message of inner) if (!loses()) yield message;
      },
    };
  }

  directGet: Bus["directGet"] = (stream, query) => {
    this.reads += 1;
    return this.#bus.directGet(stream, query);
  };
  whenConnected: Bus["whenConnected"] = (signal) => this.#bus.whenConnected(signal);
  onStatus: Bus["onStatus"] = (listener) => this.#bus.onStatus(listener);
  publish: Bus["publish"] = (subject, data) => this.#bus.publish(subject, data);
  flush: Bus["flush"] = () => this.#bus.flush();
  append: Bus["append"] = (subject, data, options) => this.#bus.append(subject, data, options);
  leaderGet: Bus["leaderGet"] = (stream, query) => this.#bus.leaderGet(stream, query);
  streamInfo: Bus["streamInfo"] = (name) => this.#bus.streamInfo(name);
  streamNames: Bus["streamNames"] = () => this.#bus.streamNames();
  createStream: Bus["createStream"] = (spec) => this.#bus.createStream(spec);
  updateStream: Bus["updateStream"] = (spec) => this.#bus.updateStream(spec);
  eraseMessage: Bus["eraseMessage"] = (stream, sequence) => this.#bus.eraseMessage(stream, sequence);
  deleteStream: Bus["deleteStream"] = (name) => this.#bus.deleteStream(name);
  reconnect: Bus["reconnect"] = () => this.#bus.reconnect();
  moved: Bus["moved"] = () => this.#bus.moved();
  close: Bus["close"] = () => this.#bus.close();
}
