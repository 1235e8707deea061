import { status } from "@grpc/grpc-js";
import type { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import type { Stream, StreamSink } from "../../http2/stream.js";
import { badResponseAnswer, lostAnswer } from "../answer.js";
import type { AttemptOutcome } from "../forward/attempt-outcome.js";
import { grpcStatusOf } from "../forward/response-fields.js";
import type { UpstreamSession } from "../forward/upstream-session.js";
import { StreamWaiter } from "../stream-queue.js";

/** The owner of a try: it has the call and is told how the try ends. */
export interface HedgedTryOwner {
  readonly line: string;
  /** Opens the try's stream; null: the session has no room. Undefined: the try is not wanted any more. */
  open(one: HedgedTry, session: UpstreamSession): Stream | null | undefined;
  /**
   * Called when the try has an answer to use: the call takes its stream over. Returns the new sink, or undefined if too
   * late.
   */
  won(one: HedgedTry): StreamSink | undefined;
  failed(one: HedgedTry, outcome: AttemptOutcome, code: number, pushback: string | undefined): void;
}

/** One hedged try beside the call's attempt, until its answer is used or it fails. */
export class HedgedTry implements StreamSink {
  readonly #owner: HedgedTryOwner;
  /** The number of the try within its call, from 2. */
  readonly nth: number;
  readonly waiter: StreamWaiter;
  stream: Stream | null = null;
  session: UpstreamSession | null = null;

  constructor(owner: HedgedTryOwner, nth: number) {
    this.#owner = owner;
    this.nth = nth;
    this.waiter = new StreamWaiter(
      owner.line,
      (session) => this.#open(session),
      (failure) => {
        if (failure !== undefined) owner.failed(this, "lost", status.UNAVAILABLE, undefined);
      },
    );
  }

  #open(session: UpstreamSession): boolean {
    const stream = this.#owner.open(this, session);
    if (stream === null) return false;
    if (stream !== undefined) {
      this.stream = stream;
      this.session = session;
    }
    return true;
  }

  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    const failure = failureOf(stream, fields, endStream);
    if (failure !== status.OK) {
      const pushback = fields.find(fieldName.grpcRetryPushback);
      this.#owner.failed(
        this,
        endStream ? "answered" : "reset",
        failure,
        pushback < 0 ? undefined : fields.valueText(pushback),
      );
    }
    // A failure that is the call's answer was not taken off by its owner.
    if (this.stream !== null) this.#owner.won(this)?.onResponse(stream, fields, endStream);
  }

  onOversized(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.#owner.won(this)?.onOversized?.(stream, fields, endStream);
  }

  onReset(stream: Stream, code: number, _byPeer: boolean, unprocessed: boolean): void {
    const { dead } = stream.connection;
    const outcome = unprocessed ? "refused" : dead ? "lost" : "reset";
    this.#owner.failed(this, outcome, lostAnswer(code, unprocessed, dead, undefined).code, undefined);
  }

  onData(stream: Stream, _bytes: Uint8Array, start: number, end: number): void {
    stream.consumed(end - start);
  }

  onTrailers(): void {}

  onTaken(): void {}
}

/** The code of a response that is a failure already, or OK. */
function failureOf(stream: Stream, fields: FieldBlock, endStream: boolean): number {
  if (endStream && fields.find(fieldName.grpcStatus) >= 0) return grpcStatusOf(fields);
  const { check } = stream.connection.headers;
  return badResponseAnswer(check.status, endStream, stream.framed, undefined)?.code ?? status.OK;
}
