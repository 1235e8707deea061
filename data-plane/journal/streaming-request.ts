/**
 * A request of several messages on its way into the journal, record by record, and at the same time to those who want
 * it complete.
 */
import { createHash } from "node:crypto";
import { digestFromBytes, digestOf } from "../../core/digest.js";
import { isAshlarError } from "../../core/errors.js";
import { messagesKey } from "../../core/journal/journal-key.js";
import { type StreamStep, streamSteps } from "../../core/journal/stream-steps.js";
import { type StreamedRequest, streamRecordsMax } from "../../core/wire/journal/entry.js";
import type { Confirmation } from "../../core/wire/journal/fields.js";
import { firstMessageBytes, wholeMessagesEnd } from "../../core/wire/journal/grpc-frames.js";
import { encodeMessages } from "../../core/wire/journal/messages.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import { noBytes } from "../proxy/forward/request-messages.js";
import type { JournalStore } from "./journal-store.js";
import { patienceMs } from "./journaled-write.js";

export interface StreamingDeps {
  readonly store: JournalStore;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

export interface StreamingOptions {
  readonly service: string;
  readonly proxyId: string;
  /** The nonce of the entry that will close it. */
  readonly nonce: Uint8Array;
  /** The most bytes of one message, with its frame, and of all. */
  readonly messageBytesMax: number;
  readonly bytesMax: number;
  /** When the caller gives up, on the monotonic clock. */
  readonly dueAtMs: number;
  /** The milliseconds after which a caller that sends no message is given up. */
  readonly idleMsMax: number;
  /** Receives messages once they are in the journal; `ended`: no more will come. */
  readonly onStored?: ((messages: Uint8Array, ended: boolean) => void) | undefined;
}

/** How the collecting ended. "broken": the last message is incomplete. */
export type Streamed =
  | { readonly kind: "whole"; readonly streamed: StreamedRequest | undefined }
  | { readonly kind: "gone" | "unavailable" | "message-too-long" | "broken" | "idle" };

const retry = { msMin: 20, msMax: 2000 };

export class StreamingRequest {
  readonly #deps: StreamingDeps;
  readonly #options: StreamingOptions;
  /** Bytes that are in no record yet. */
  #pending: Buffer[] = [];
  readonly #records: Confirmation[] = [];
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #hasEnded = false;
  #stop: Exclude<Streamed["kind"], "whole"> | undefined;
  #wake: () => void = () => {};

  constructor(deps: StreamingDeps, options: StreamingOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  push(bytes: Buffer, ended: boolean): void {
    if (this.#hasEnded) return;
    if (bytes.length > 0) this.#pending.push(bytes);
    this.#hasEnded = ended;
    this.#wake();
  }

  /** Ends the request because the application answered before its end: the complete messages so far are the request. */
  endEarly(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const framed = this.#joined();
    // if the application gets only what is stored, it has seen nothing of this
    const seen = this.#options.onStored === undefined ? wholeMessagesEnd(framed) : 0;
    this.#pending = seen > 0 ? [framed.subarray(0, seen)] : [];
    this.#wake();
  }

  /** Stops appending, unless the whole request is there already. */
  leave(): void {
    if (this.#hasEnded) return;
    this.#stop ??= "gone";
    this.#wake();
  }

  /** Resolves when everything is in records, or with why it is not. */
  async run(): Promise<Streamed> {
    const steps = streamSteps();
    let turn = steps.next(undefined);
    while (turn.done !== true) turn = steps.next(await this.#perform(turn.value));
    const { kind } = turn.value;
    if (kind !== "whole") return { kind: this.#stop ?? kind };
    this.#options.onStored?.(noBytes, true);
    if (this.#records.length === 0) return { kind, streamed: undefined };
    const digest = digestFromBytes(this.#hash.digest());
    return { kind, streamed: { messages: this.#records, digest, bytes: this.#bytes } };
  }

  async #perform(step: StreamStep): Promise<unknown> {
    return step.kind === "collect" ? this.#collect() : this.#append(step.number);
  }

  async #collect(): Promise<"messages" | "ended" | "gone"> {
    for (;;) {
      if (this.#stop !== undefined) return "gone";
      const found = this.#found();
      if (found === "messages" || found === "ended") return found;
      if (found !== "nothing") this.#stop = found;
      else if (!(await this.#more())) this.#stop ??= "idle";
    }
  }

  #found(): "messages" | "ended" | "nothing" | "message-too-long" | "broken" {
    const framed = this.#joined();
    if (framed.length === 0) return this.#hasEnded ? "ended" : "nothing";
    if (firstMessageBytes(framed) > this.#options.messageBytesMax) return "message-too-long";
    const end = wholeMessagesEnd(framed, this.#options.messageBytesMax);
    if (end === 0) return this.#hasEnded ? "broken" : "nothing";
    const isFull = framed.length >= this.#options.messageBytesMax; // the next message does not fit beside these
    return this.#hasEnded || isFull || end >= this.#least() ? "messages" : "nothing";
  }

  /**
   * Returns the least bytes of a record. The first half of the records that a closing entry can name may be as short as
   * a message; the others share the remaining bytes, so that many short messages are never refused for their number.
   */
  #least(): number {
    const half = streamRecordsMax / 2;
    if (this.#records.length < half - 1) return 1;
    return Math.ceil(this.#options.bytesMax / half);
  }

  #joined(): Buffer {
    if (this.#pending.length !== 1) this.#pending = [Buffer.concat(this.#pending)];
    return this.#pending[0] ?? Buffer.alloc(0);
  }

  /** Waits until there is more. Returns false if the caller sent nothing for too long. */
  async #more(): Promise<boolean> {
    const over = new AbortController();
    const { clock } = this.#deps;
    let isWoken = false;
    const woken = new Promise<void>((resolve) => {
      this.#wake = () => {
        isWoken = true;
        resolve();
      };
    });
    await Promise.race([
      woken,
      clock.sleep(this.#options.idleMsMax, AbortSignal.any([over.signal, this.#deps.signal])),
    ]);
    over.abort();
    this.#wake = () => {};
    return isWoken;
  }

  async #append(number: number): Promise<number | undefined> {
    const { store, clock, random, signal } = this.#deps;
    const { service, proxyId, nonce: stream, messageBytesMax, dueAtMs } = this.#options;
    const framed = this.#joined();
    const end = wholeMessagesEnd(framed, messageBytesMax);
    const messages = framed.subarray(0, end);
    this.#pending = end < framed.length ? [framed.subarray(end)] : [];
    const confirms = store.confirmations();
    const bytes = encodeMessages({ service, proxyId, stream, number, messages, confirms });
    const append = store.messagesAppender(bytes, messagesKey(stream), confirms);
    const untilMs = Math.min(clock.monotonicMs() + patienceMs.append, dueAtMs);
    const backoff = new Backoff(retry, random);
    for (;;) {
      try {
        const sequence = await append();
        this.#records.push({ sequence, digest: digestOf(bytes) });
        this.#hash.update(messages);
        this.#bytes += messages.length;
        this.#options.onStored?.(messages, false);
        return sequence;
      } catch (error) {
        if (!isAshlarError(error, "unavailable") || clock.monotonicMs() >= untilMs || signal.aborted) return undefined;
      }
      await clock.sleep(backoff.nextMs(), signal);
    }
  }
}
