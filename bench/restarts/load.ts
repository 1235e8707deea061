/** Makes unary calls and streams until it is stopped, and counts those that failed. */
import { Client, credentials, Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { pause } from "../../test/conformance/child.js";

export interface Counted {
  readonly calls: number;
  readonly failed: number;
  /** The failures, by status and text. */
  readonly why: ReadonlyMap<string, number>;
}

export interface LoadOptions {
  /** The address of the caller's proxy. */
  readonly target: string;
  readonly kind: "unary" | "stream";
  /** Whether calls wait for a connection instead of failing without one. */
  readonly waitForReady: boolean;
  readonly lanes: number;
  /**
   * The number of messages of each stream, one every 200 ms. Infinity: streams last until the load is stopped. Default:
   * 15.
   */
  readonly streamMessages?: number;
}

const same = (bytes: Buffer): Buffer => bytes;
const none = Buffer.alloc(0);
const deadlineMs = 20_000;
const unaryPauseMs = 5;
const streamMessagesDefault = 15;
const streamPauseMs = 200;

/** Calls test.Echo of the service `echo` on one channel. */
export class RestartLoad {
  readonly #client: Client;
  readonly #options: LoadOptions;
  readonly #why = new Map<string, number>();
  readonly #running: readonly Promise<void>[];
  #calls = 0;
  #failed = 0;
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#client = new Client(options.target, credentials.createInsecure(), {
      "grpc.default_authority": "echo",
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
    });
    this.#running = Array.from({ length: options.lanes }, () => this.#run());
  }

  /** Returns the counts since the last call of this method. */
  take(): Counted {
    const counted = { calls: this.#calls, failed: this.#failed, why: new Map(this.#why) };
    this.#calls = 0;
    this.#failed = 0;
    this.#why.clear();
    return counted;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const { code, details } = await (this.#options.kind === "unary" ? this.#unary() : this.#stream());
      this.#calls += 1;
      if (code !== 0) {
        const text = `${code} ${details.slice(0, 90)}`;
        this.#failed += 1;
        this.#why.set(text, (this.#why.get(text) ?? 0) + 1);
      }
      await pause(unaryPauseMs);
    }
  }

  #metadata(): Metadata {
    return new Metadata({ waitForReady: this.#options.waitForReady });
  }

  #unary(): Promise<{ readonly code: number; readonly details: string }> {
    const options = { deadline: Date.now() + deadlineMs };
    return new Promise((resolve) => {
      const done = (error: ServiceError | null): void => resolve(error ?? { code: 0, details: "" });
      this.#client.makeUnaryRequest("/test.Echo/Unary", same, same, none, this.#metadata(), options, done);
    });
  }

  #stream(): Promise<StatusObject> {
    const { streamMessages = streamMessagesDefault } = this.#options;
    const options = streamMessages === Number.POSITIVE_INFINITY ? {} : { deadline: Date.now() + deadlineMs };
    const stream = this.#client.makeBidiStreamRequest("/test.Echo/Bidi", same, same, this.#metadata(), options);
    return new Promise((resolve) => {
      let sent = 0;
      const timer = setInterval(() => {
        sent += 1;
        if (sent > streamMessages || this.#stopped) stream.end();
        else stream.write(none);
      }, streamPauseMs);
      stream.on("data", () => {});
      stream.on("error", () => {}); // the stream's status reports it
      stream.on("status", (status: StatusObject) => {
        clearInterval(timer);
        resolve(status);
      });
    });
  }
}
