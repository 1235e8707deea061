/**
 * One attempt of a write at the application, on a stream of its own: it outlives the caller, and its response is kept
 * complete.
 */
import { createHash, type Hash } from "node:crypto";
import { type Digest, digestFromBytes, digestOf } from "../../core/digest.js";
import type { Field } from "../../core/wire/journal/fields.js";
import { firstMessageBytes } from "../../core/wire/journal/grpc-frames.js";
import { asBuffer } from "../../core/wire/record-codec.js";
import { FieldBlock } from "../http2/field-block.js";
import { fieldName } from "../http2/field-names.js";
import type { PreparedField } from "../http2/prepared-field.js";
import type { Stream, StreamSink } from "../http2/stream.js";
import { badResponseAnswer } from "../proxy/answer.js";
import { noBytes } from "../proxy/forward/request-messages.js";
import { grpcStatusOf } from "../proxy/forward/response-fields.js";
import type { UpstreamSession } from "../proxy/forward/upstream-session.js";
import { dropReservedFields } from "../proxy/reserved-fields.js";
import { StreamWaiter } from "../proxy/stream-queue.js";
import type { ResponseRelay } from "./response-relay.js";
import type { RoomShare } from "./write-room.js";

/** The application's whole response. */
export interface AppResponse {
  readonly code: number;
  readonly head: readonly Field[];
  readonly trailers: readonly Field[];
  /** The response's messages; undefined: there was no room for them. */
  readonly bytes: Uint8Array | undefined;
  /** The digest of its messages with gRPC's framing. */
  readonly digest: Digest;
  readonly length: number;
  /** True if the caller has already received its messages. */
  readonly isRelayed?: boolean;
}

/** "not-forwarded": the application certainly did not get the write; "lost": it may have. */
export type Forwarded = AppResponse | "not-forwarded" | "lost";

export interface AppRequest {
  readonly caller: string;
  readonly first: readonly PreparedField[];
  readonly fields: readonly Field[];
  readonly last: readonly PreparedField[];
  readonly bytes: Uint8Array;
  /** The milliseconds that the application may take, and those to wait for a stream to it. */
  readonly patienceMs: number;
  readonly streamWaitMs: number;
  /** The room in memory for the response. */
  readonly room: RoomShare;
  /**
   * Set if `bytes` is only the beginning and more comes by `RunningAttempt.send`. It is called with the number of bytes
   * that the application read.
   */
  readonly onTaken?: ((bytes: number) => void) | undefined;
  /** Receives a response of several messages as it arrives. */
  readonly relay?: ResponseRelay | undefined;
  /** True if the relay gets a response from its head on, however many messages it has. */
  readonly relaysAtOnce?: boolean;
  /** The most bytes of a relayed response that are kept. */
  readonly relayedBytesMax?: number;
}

/** An attempt whose request is sent piece by piece. */
export interface RunningAttempt {
  readonly forwarded: Promise<Forwarded>;
  send(bytes: Uint8Array, ended: boolean): void;
  /** Cancels the attempt. */
  cancel(): void;
}

/** The most bytes of a response that are held in memory; of a longer one only the digest is reported. */
const responseBytesMax = 8 * 1024 * 1024;
const block = new FieldBlock();

/** Sends the request once. `acquire` waits for a stream; false: there is no application. */
export function forwardOnce(request: AppRequest, acquire: (waiter: StreamWaiter) => boolean): Promise<Forwarded> {
  return openAttempt(request, acquire).forwarded;
}

/** Like `attempt`, for a request that is sent piece by piece if it has `onTaken`. */
export function openAttempt(request: AppRequest, acquire: (waiter: StreamWaiter) => boolean): RunningAttempt {
  let end: (forwarded: Forwarded) => void = () => {};
  const forwarded = new Promise<Forwarded>((resolve) => {
    end = resolve;
  });
  const attempt = new AppAttempt(request, end);
  const waiter = new StreamWaiter(
    request.caller,
    (session) => attempt.open(session),
    (failure) => {
      if (failure !== undefined) attempt.end("not-forwarded");
    },
  );
  if (!acquire(waiter)) attempt.end("not-forwarded");
  attempt.waitFor(waiter);
  return { forwarded, send: (bytes, ended) => attempt.send(bytes, ended), cancel: () => attempt.cut() };
}

class AppAttempt implements StreamSink {
  readonly #request: AppRequest;
  readonly #resolve: (forwarded: Forwarded) => void;
  #timer: NodeJS.Timeout | undefined;
  #stream: Stream | undefined;
  #session: UpstreamSession | undefined;
  #head: readonly Field[] = [];
  readonly #parts: Uint8Array[] = [];
  /** A hash over what is not kept in `#parts`; undefined: everything is kept. */
  #hash: Hash | undefined;
  #bytes = 0;
  /** The length of its first message in bytes; 0: not known yet. */
  #firstBytes = 0;
  #isRelayed = false;
  /** True if the caller no longer wanted a response when it could have been relayed. */
  #isLate = false;
  #isDropped = false;
  #isOver = false;
  /** What arrived before there was a stream; the flag says whether that is all. */
  #early: Uint8Array[] = [];
  #isWhole: boolean;

  constructor(request: AppRequest, resolve: (forwarded: Forwarded) => void) {
    this.#request = request;
    this.#resolve = resolve;
    this.#isWhole = request.onTaken === undefined;
    this.#early.push(request.bytes);
  }

  /** Gives up if there is no stream when the time is over. */
  waitFor(waiter: StreamWaiter): void {
    if (this.#isOver || this.#stream !== undefined) return;
    this.#timer = setTimeout(() => {
      if (this.#stream !== undefined) return;
      waiter.leave();
      this.end("not-forwarded");
    }, this.#request.streamWaitMs).unref();
  }

  open(session: UpstreamSession): boolean {
    if (this.#isOver) return true;
    const stream = session.connection.open(this, performance.now());
    if (stream === null) return false;
    this.#stream = stream;
    this.#session = session;
    const { first, fields, last } = this.#request;
    block.clear();
    for (const { name, value } of fields) block.add(name, asBuffer(value).toString("latin1"));
    stream.sendFields(first, block, last, false);
    const bytes = Buffer.concat(this.#early);
    this.#early = [];
    this.#give(stream, bytes);
    return true;
  }

  send(bytes: Uint8Array, ended: boolean): void {
    if (this.#isOver || this.#isWhole) return;
    this.#isWhole = ended;
    if (this.#stream === undefined) this.#early.push(bytes);
    else this.#give(this.#stream, bytes);
  }

  /** Sends a piece. The application's time begins with the last piece. */
  #give(stream: Stream, bytes: Uint8Array): void {
    const { onTaken, patienceMs } = this.#request;
    clearTimeout(this.#timer);
    if (bytes.length === 0 && !this.#isWhole) return;
    const taken = stream.sendData(bytes, 0, bytes.length, this.#isWhole);
    if (taken > 0) onTaken?.(taken);
    // rounded, because Node keeps a list of timers for each duration, and many writes should share few lists
    const waitMs = Math.ceil(patienceMs / 100) * 100;
    if (this.#isWhole) this.#timer = setTimeout(() => this.cut(), waitMs).unref();
  }

  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    if (endStream && fields.find(fieldName.grpcStatus) >= 0) {
      this.#finish(fields);
      return;
    }
    const bad = badResponseAnswer(stream.connection.headers.check.status, endStream, stream.framed, undefined);
    if (bad === undefined) {
      dropReservedFields(fields, false);
      this.#head = copyFields(fields, [":status"]);
      const { relay, relaysAtOnce } = this.#request;
      if (relaysAtOnce === true) this.#isRelayed = relay?.begin(this.#head, noBytes, stream) === true;
      return;
    }
    const trailers = [{ name: "grpc-message", value: Buffer.from(bad.message) }];
    this.#cancel();
    this.end({ code: bad.code, head: [], trailers, ...emptyResponse });
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (stream.oversized) {
      this.cut();
      return;
    }
    this.#bytes += end - start;
    const part = Uint8Array.prototype.slice.call(bytes, start, end);
    if (this.#isRelayed) this.#request.relay?.send(part);
    else stream.consumed(end - start);
    this.#keep(part);
    if (!this.#isRelayed && !this.#isDropped) this.#relay(stream);
    else if (this.#isWhole) this.#timer?.refresh();
    if (endStream) this.end("lost"); // without trailers nobody knows the outcome
  }

  #keep(part: Uint8Array): void {
    const { room, relayedBytesMax = 0 } = this.#request;
    const most = this.#isRelayed ? relayedBytesMax : responseBytesMax;
    if (!this.#isDropped && (this.#bytes > most || !room.use(part.length))) {
      this.#isDropped = true;
      this.#hash = createHash("sha256");
      for (const kept of this.#parts.splice(0)) this.#hash.update(kept);
    }
    if (this.#hash === undefined) this.#parts.push(part);
    else this.#hash.update(part);
  }

  /** Relays the response to the caller, from its second message on as it arrives. */
  #relay(stream: Stream): void {
    const { relay } = this.#request;
    if (relay === undefined || this.#isLate) return;
    if (this.#firstBytes === 0) this.#firstBytes = firstMessageBytes(this.#joined());
    if (this.#firstBytes === 0 || this.#bytes <= this.#firstBytes) return;
    this.#isRelayed = relay.begin(this.#head, this.#joined(), stream);
    this.#isLate = !this.#isRelayed;
  }

  #joined(): Buffer {
    const framed = Buffer.concat(this.#parts.splice(0));
    this.#parts.push(framed);
    return framed;
  }

  onTrailers(_stream: Stream, fields: FieldBlock): void {
    this.#finish(fields);
  }

  onReset(_stream: Stream, _code: number, _byPeer: boolean, unprocessed: boolean): void {
    this.#session?.released();
    this.#session = undefined;
    this.end(unprocessed ? "not-forwarded" : "lost");
  }

  onTaken(_stream: Stream, bytes: number): void {
    this.#request.onTaken?.(bytes);
  }

  #finish(fields: FieldBlock): void {
    dropReservedFields(fields, false);
    const status = grpcStatusOf(fields);
    const code = status < 0 || status > 16 ? 2 : status;
    const trailers = copyFields(fields, [":status", "grpc-status", "content-type"]);
    const bytes = this.#isDropped ? undefined : Buffer.concat(this.#parts);
    const digest = this.#hash ? digestFromBytes(this.#hash.digest()) : digestOf(bytes ?? noBytes);
    this.end({ code, head: this.#head, trailers, bytes, digest, length: this.#bytes, isRelayed: this.#isRelayed });
  }

  cut(): void {
    this.#cancel();
    this.end("lost");
  }

  #cancel(): void {
    const [stream, session] = [this.#stream, this.#session];
    this.#session = undefined;
    if (stream !== undefined && session !== undefined) session.cancel(stream);
  }

  end(forwarded: Forwarded): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#session?.released();
    this.#resolve(forwarded);
  }
}

/** The messages of an empty response. */
export const emptyResponse: Pick<AppResponse, "bytes" | "digest" | "length"> = {
  ...{ bytes: new Uint8Array(), digest: digestOf(noBytes), length: 0 },
};

/** Returns a copy of a block's fields that are not dropped, without those named. */
export function copyFields(fields: FieldBlock, without: readonly string[]): readonly Field[] {
  const copied: Field[] = [];
  for (let field = 0; field < fields.count; field += 1) {
    if (fields.isDropped(field)) continue;
    const name = fields.nameText(field);
    if (!without.includes(name)) copied.push({ name, value: Buffer.from(fields.valueText(field), "latin1") });
  }
  return copied;
}
