/**
 * The seam between what the proxy decides and how bytes move. A call is an
 * accepted stream, a plan, and an upstream that was picked for it; below this
 * line nothing is decided any more.
 */
import type { ClientHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import { status } from "@grpc/grpc-js";
import { headerNames } from "../../../core/wire/headers.js";
import { type Answer, codeOfHttpStatus, codeOfReset, unavailableAnswer } from "../answer.js";
import { renderGrpcTimeout } from "../grpc-timeout.js";
import { type Field, findField } from "../request-head.js";
import type { AcceptedStream } from "./accepted-stream.js";
import { fieldsFromRaw, fieldsToHeaders, responseFields } from "./fields.js";
import type { UpstreamSlot } from "./upstream-session.js";

/** What was decided about a call. */
export interface ForwardPlan {
  readonly scheme: "http" | "https";
  readonly path: string;
  readonly authority: string;
  /** What the upstream gets, without pseudo-headers, `te` and `grpc-timeout`. */
  readonly fields: readonly Field[];
  /** The time that is left now; undefined: no deadline. */
  readonly remainingMs: () => number | undefined;
  /** The revision that judged the call here. */
  readonly revision: number | undefined;
  /** The upstream is a peer proxy: what it says about revision and decision passes. */
  readonly peerProxy: boolean;
}

/** `retry`: the upstream surely processed nothing, and the whole request can be sent again. */
export type ForwardResult = "done" | "retry";

/** Kept for a retry; a request longer than this is sent once. */
const replayBytesMax = 64 * 1024;
const passFromPeer: ReadonlySet<string> = new Set([headerNames.revision, headerNames.decision]);
const passFromApplication: ReadonlySet<string> = new Set();

/** One call on its way. `send` may be called again after it gave `retry`. */
export class Forwarding {
  readonly #accepted: AcceptedStream;
  readonly #plan: ForwardPlan;
  #upstream: ClientHttp2Stream | undefined;
  /** The request's first bytes, while they may have to be sent again. */
  #replay: Buffer[] | undefined = [];
  #replayBytes = 0;
  #reading = false;
  #requestEnded = false;

  constructor(accepted: AcceptedStream, plan: ForwardPlan) {
    this.#accepted = accepted;
    this.#plan = plan;
    accepted.whenEnded(() => this.#cancelUpstream());
    accepted.onDrain(() => this.#upstream?.resume());
  }

  /** Sends the call to `slot` and resolves when it is over, or may be sent elsewhere. Gives the slot back. */
  send(slot: UpstreamSlot): Promise<ForwardResult> {
    if (this.#accepted.settled) {
      slot.release();
      return Promise.resolve("done");
    }
    let upstream: ClientHttp2Stream;
    try {
      upstream = slot.open(this.#requestHeaders());
    } catch {
      slot.release();
      return Promise.resolve("retry"); // the connection went away between pick and use
    }
    this.#upstream = upstream;
    return new Promise((resolve) => {
      new Attempt(this.#accepted, this.#plan, upstream, {
        mayRetry: () => this.#replay !== undefined && !this.#accepted.settled,
        responded: () => this.#forgetReplay(),
        closed: (result) => {
          slot.release();
          resolve(result);
        },
      });
      this.#pump(upstream);
    });
  }

  /** Ends the call with an answer of the proxy's own and cancels what is upstream. */
  end(answer: Answer): void {
    this.#accepted.answer(answer);
    this.#cancelUpstream();
  }

  #requestHeaders() {
    const { scheme, path, authority, fields } = this.#plan;
    const headers = fieldsToHeaders(fields, {
      ":method": "POST",
      ":scheme": scheme,
      ":path": path,
      ":authority": authority,
    });
    headers.te = "trailers";
    const remainingMs = this.#plan.remainingMs();
    if (remainingMs !== undefined) headers["grpc-timeout"] = renderGrpcTimeout(remainingMs);
    return headers;
  }

  /** Moves the request: what was sent before goes again, then what arrives. */
  #pump(upstream: ClientHttp2Stream): void {
    upstream.on("drain", () => this.#accepted.resume());
    for (const chunk of this.#replay ?? []) upstream.write(chunk);
    if (this.#requestEnded) upstream.end();
    if (this.#reading) {
      if (!upstream.writableNeedDrain) this.#accepted.resume();
      return;
    }
    this.#reading = true;
    this.#accepted.read(
      (chunk) => this.#take(chunk),
      () => {
        this.#requestEnded = true;
        if (this.#upstream?.writable) this.#upstream.end();
      },
    );
  }

  #take(chunk: Buffer): boolean {
    if (this.#replay !== undefined) {
      this.#replayBytes += chunk.length;
      if (this.#replayBytes > replayBytesMax) this.#forgetReplay();
      else this.#replay.push(chunk);
    }
    const upstream = this.#upstream;
    if (upstream?.writable !== true) return this.#replay === undefined; // between attempts: wait
    return upstream.write(chunk);
  }

  #forgetReplay(): void {
    this.#replay = undefined;
  }

  #cancelUpstream(): void {
    const upstream = this.#upstream;
    if (upstream !== undefined && !upstream.closed) upstream.close(constants.NGHTTP2_CANCEL);
  }
}

interface AttemptHooks {
  mayRetry(): boolean;
  responded(): void;
  closed(result: ForwardResult): void;
}

/** The response half of one attempt. */
class Attempt {
  readonly #accepted: AcceptedStream;
  readonly #plan: ForwardPlan;
  readonly #upstream: ClientHttp2Stream;
  /** Kept from the start: a stream that is closed knows its session no more. */
  readonly #session: ClientHttp2Stream["session"];
  readonly #hooks: AttemptHooks;
  /** What node:http2 handed over before the response's headers: over TLS that happens. */
  #early: Buffer[] | undefined = [];
  #trailers: Field[] | undefined;
  #settled = false;
  #result: ForwardResult = "done";

  constructor(accepted: AcceptedStream, plan: ForwardPlan, upstream: ClientHttp2Stream, hooks: AttemptHooks) {
    this.#accepted = accepted;
    this.#plan = plan;
    this.#upstream = upstream;
    this.#session = upstream.session;
    this.#hooks = hooks;
    upstream.on("response", (headers, flags, raw?: string[]) => {
      this.#onResponse(Number(headers[":status"]), raw ?? [], (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
    });
    upstream.on("trailers", (_headers, _flags, raw?: string[]) => {
      this.#trailers = fieldsFromRaw(raw ?? []);
    });
    upstream.on("data", (chunk: Buffer) => this.#onData(chunk));
    upstream.on("end", () => setImmediate(() => this.#onEnd()));
    upstream.on("error", () => {}); // told by "close"
    upstream.on("close", () => this.#onClose());
  }

  #onResponse(httpStatus: number, raw: readonly string[], last: boolean): void {
    this.#hooks.responded();
    const fields = fieldsFromRaw(raw);
    if (last && findField(fields, "grpc-status") !== undefined) this.#finish(fields);
    else if (httpStatus !== 200)
      this.#fail(codeOfHttpStatus(httpStatus), `the upstream answered with HTTP ${httpStatus}`);
    else if (last) this.#fail(status.INTERNAL, "the upstream answered without a grpc-status");
    else if (!/^application\/grpc/i.test(findField(fields, "content-type") ?? ""))
      this.#fail(status.INTERNAL, "the upstream did not answer in gRPC");
    else this.#accepted.respond(responseFields(fields, passFromApplication));
    const early = this.#early ?? [];
    this.#early = undefined;
    if (early.length > 0) this.#upstream.resume();
    for (const chunk of early) this.#onData(chunk);
  }

  #onData(chunk: Buffer): void {
    if (this.#settled) return;
    if (this.#early !== undefined) {
      this.#early.push(chunk);
      this.#upstream.pause(); // until the headers are there
    } else if (!this.#accepted.write(chunk)) {
      this.#upstream.pause();
    }
  }

  /** All data was read. Trailers, if there are any, have been announced by now. */
  #onEnd(): void {
    if (this.#settled) return;
    if (this.#trailers !== undefined) this.#finish(this.#trailers);
    else if (!this.#upstream.closed) this.#fail(status.INTERNAL, "the upstream ended the call without trailers");
  }

  #finish(fields: readonly Field[]): void {
    if (this.#settled) return;
    this.#settled = true;
    const passed = responseFields(fields, this.#plan.peerProxy ? passFromPeer : passFromApplication);
    const { revision } = this.#plan;
    if (revision !== undefined && findField(passed, headerNames.revision) === undefined) {
      passed.push([headerNames.revision, String(revision)]);
    }
    const text = findField(fields, "grpc-status");
    const code = text !== undefined && /^\d{1,2}$/.test(text) ? Number(text) : status.UNKNOWN;
    if (text === undefined) passed.push(["grpc-status", String(status.UNKNOWN)]);
    this.#accepted.finish(code, passed);
    // A server that answered early does not want the rest of the request.
    if (!this.#upstream.closed && !this.#upstream.writableEnded) this.#upstream.close(constants.NGHTTP2_NO_ERROR);
  }

  #fail(code: status, message: string): void {
    this.#answer({ code, message, revision: this.#plan.revision, decision: undefined, reason: "broken" });
    if (!this.#upstream.closed) this.#upstream.close(constants.NGHTTP2_CANCEL);
  }

  #answer(answer: Answer): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#accepted.answer(answer);
  }

  #onClose(): void {
    if (this.#trailers !== undefined && !this.#settled && this.#upstream.readableEnded) this.#finish(this.#trailers);
    if (!this.#settled && !this.#accepted.ended) this.#onLost();
    this.#settled = true;
    this.#hooks.closed(this.#result);
  }

  /** The stream closed without a status. */
  #onLost(): void {
    const errorCode = this.#upstream.rstCode ?? constants.NGHTTP2_INTERNAL_ERROR;
    const refused = errorCode === constants.NGHTTP2_REFUSED_STREAM;
    if (refused && this.#hooks.mayRetry()) {
      this.#result = "retry";
      return;
    }
    this.#answer(this.#lostAnswer(errorCode, refused));
  }

  #lostAnswer(errorCode: number, refused: boolean): Answer {
    const { revision } = this.#plan;
    if (refused) return unavailableAnswer("overload", "the upstream refused the call", revision);
    if (this.#session === undefined || this.#session.destroyed) {
      return unavailableAnswer("reset", "the connection to the upstream was lost", revision);
    }
    const message = `the upstream reset the call (HTTP/2 error ${errorCode})`;
    return { code: codeOfReset(errorCode), message, revision, decision: undefined, reason: "reset" };
  }
}
