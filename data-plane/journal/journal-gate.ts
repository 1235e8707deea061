/**
 * The gate at which a journaled call waits: its request is collected, or appended message by message, until its write
 * can begin.
 */
import { status } from "@grpc/grpc-js";
import type { JournalPlan } from "../../core/journal/plan.js";
import { firstMessageBytes } from "../../core/wire/journal/grpc-frames.js";
import { type Answer, noRoomAnswer } from "../proxy/answer.js";
import type { CallGate } from "../proxy/call-side.js";
import type { Call } from "../proxy/forward/call.js";
import type { RunningAttempt } from "./app-attempt.js";
import { CollectedWrite } from "./collected-write.js";
import { notCollectedAnswer, rightAnswer } from "./journal-answers.js";
import type { JournalCounts } from "./journal-counts.js";
import { ResponseRelay } from "./response-relay.js";
import type { StreamingOptions, StreamingRequest } from "./streaming-request.js";
import type { WriteRoom } from "./write-room.js";

export interface GateOwner {
  readonly room: WriteRoom;
  readonly counts: Pick<JournalCounts, "add">;
  /** Called when the request is complete. */
  begin(write: CollectedWrite): void;
  /** Called when a request of several messages begins. */
  stream(write: CollectedWrite, onStored: StreamingOptions["onStored"]): StreamingRequest;
  /**
   * Called when the application is to get the request before its entry is stored. Returns undefined if the call was
   * refused.
   */
  beginStream(
    write: CollectedWrite,
    streaming: StreamingRequest,
    onTaken: (bytes: number) => void,
  ): RunningAttempt | undefined;
  /** Called after an unexpected fault, which is logged; the caller is told. */
  failed(write: CollectedWrite, error: unknown): void;
}

/** Collects the request of one call, and resolves to its answer. */
export class JournalGate implements CallGate {
  readonly opened: Promise<Answer | undefined>;
  readonly reply: ResponseRelay;
  readonly #call: Call;
  readonly #owner: GateOwner;
  readonly #write: CollectedWrite;
  #bytes = 0;
  /** True if the request has ended or was refused. */
  #isOver = false;
  #streaming: StreamingRequest | undefined;
  /** The messages of a stream that the application gets once all are in the journal. */
  readonly #parts: Buffer[] = [];
  /** The application's attempt that gets them before the entry is stored. */
  #attempt: RunningAttempt | undefined;

  constructor(call: Call, plan: JournalPlan, owner: GateOwner) {
    this.#call = call;
    this.#owner = owner;
    this.reply = new ResponseRelay(call);
    let tell: (answer: Answer) => void = () => {};
    this.opened = new Promise((resolve) => {
      tell = resolve;
    });
    this.#write = new CollectedWrite(call, plan, owner.room, this.reply, tell);
    const wrong = this.#write.problem;
    if (wrong !== undefined) {
      this.#refuse(rightAnswer(status.INVALID_ARGUMENT, wrong, call.plan?.revision));
      return;
    }
    const { bytes, ended } = call.messages.held;
    this.requestGrew(bytes.length, ended);
  }

  requestGrew(bytes: number, ended: boolean): void {
    if (this.#isOver) return;
    this.#bytes += bytes;
    const { requestBytesMax, streamBytesMax } = this.#write.plan;
    const isStream =
      this.#streaming !== undefined ||
      this.#write.isBidirectional ||
      (streamBytesMax !== undefined && !this.#write.isPrivate && this.#hasSeveral());
    const most = (isStream ? streamBytesMax : undefined) ?? requestBytesMax;
    if (this.#bytes > most) {
      this.#refuse(notCollectedAnswer(isStream ? "stream-too-long" : "too-long", this.#write));
      return;
    }
    if (!this.#write.room.use(bytes)) {
      this.#refuse(noRoomAnswer(this.#write.revision));
      return;
    }
    if (isStream) {
      this.#streamOn(bytes, ended);
      return;
    }
    this.#call.takeHeld(bytes);
    if (!ended) return;
    this.#isOver = true;
    const wrong = this.#write.take(this.#call.messages.held.bytes);
    if (wrong === undefined) this.#owner.begin(this.#write);
    else this.#refuse(rightAnswer(status.INVALID_ARGUMENT, wrong, this.#write.revision));
  }

  /** Returns whether a second message has begun. */
  #hasSeveral(): boolean {
    const { peeked } = this.#call.messages;
    const first = firstMessageBytes(peeked);
    return first > 0 && peeked.length > first;
  }

  #streamOn(bytes: number, ended: boolean): void {
    const chunk = this.#call.messages.drain();
    if (ended) this.#isOver = true;
    const { isForwardedFirst } = this.#write;
    const isBefore = this.#write.plan.mode === "before";
    if (!isForwardedFirst) this.#parts.push(chunk);
    // a message that waits for its record must become complete, however narrow the caller's window is
    if (isBefore) this.#call.takeHeld(bytes);
    if (this.#streaming === undefined) this.#beginStream(isBefore && isForwardedFirst);
    this.#streaming?.push(chunk, ended);
    if (!isBefore) this.#attempt?.send(chunk, ended);
  }

  /** `isStoredFirst`: the application gets each message once the journal has it. */
  #beginStream(isStoredFirst: boolean): void {
    const pass = (messages: Uint8Array, ended: boolean): void => this.#attempt?.send(messages, ended);
    const streaming = this.#owner.stream(this.#write, isStoredFirst ? pass : undefined);
    this.#streaming = streaming;
    if (!this.#write.isForwardedFirst) {
      void this.#close(streaming).catch((error: unknown) => {
        this.#breakOff();
        this.#owner.failed(this.#write, error);
      });
      return;
    }
    const take = isStoredFirst ? () => {} : (taken: number): void => this.#call.takeHeld(taken);
    this.#attempt = this.#owner.beginStream(this.#write, streaming, take);
    if (this.#attempt === undefined) this.#isOver = true;
  }

  /** Begins the write once the whole stream is in the journal. */
  async #close(streaming: StreamingRequest): Promise<void> {
    const { kind, ...rest } = await streaming.run();
    if (kind !== "whole") {
      if (kind !== "gone") this.#refuse(notCollectedAnswer(kind, this.#write));
      return;
    }
    this.#write.request = Buffer.concat(this.#parts.splice(0));
    this.#write.streamed = "streamed" in rest ? rest.streamed : undefined;
    this.#owner.begin(this.#write);
  }

  /** Ends the collecting without appending an entry. */
  #refuse(answer: Answer): void {
    this.#owner.counts.add(answer.code === status.UNAVAILABLE ? "unavailable" : "refused");
    this.#breakOff();
    this.#write.answer(answer);
  }

  #breakOff(): void {
    this.#isOver = true;
    this.#streaming?.leave();
    this.#attempt?.cancel();
    if (this.#attempt === undefined) this.#write.room.end();
  }

  leave(): void {
    if (!this.#isOver) this.#breakOff();
    this.#write.hasLeft = true;
  }
}
