import type { ConnectionPort } from "./connection-port.js";
import type { ControlReceiver } from "./control-receiver.js";
import type { DataReceiver } from "./data-receiver.js";
import type { FrameReceiver } from "./frame-reader.js";
import type { HeaderReceiver } from "./header-receiver.js";
import { errorCode, frameType } from "./protocol.js";
import { refusal } from "./refusals.js";

type RouterPort = Pick<ConnectionPort, "dead" | "fail">;

/**
 * Passes each frame to the part of the connection that handles it, and enforces the order of frames that RFC 9113
 * requires.
 */
export class FrameRouter implements FrameReceiver {
  readonly #connection: RouterPort;
  readonly #headers: HeaderReceiver;
  readonly #data: DataReceiver;
  readonly #control: ControlReceiver;

  constructor(connection: RouterPort, headers: HeaderReceiver, data: DataReceiver, control: ControlReceiver) {
    this.#connection = connection;
    this.#headers = headers;
    this.#data = data;
    this.#control = control;
  }

  get dead(): boolean {
    return this.#connection.dead;
  }

  onPreface(): void {}

  onPrefaceWrong(): void {
    this.#connection.fail(errorCode.protocolError, refusal.preface);
  }

  onFrameTooLong(): void {
    this.#connection.fail(errorCode.frameSizeError, refusal.frame_size);
  }

  onPaddingTooLong(): void {
    this.#connection.fail(errorCode.protocolError, refusal.protocol);
  }

  onFrameHeader(type: number, _flags: number, streamId: number, _length: number): boolean {
    const open = this.#headers.openStreamId;
    const continues = type === frameType.continuation && streamId === open;
    if (open !== 0 ? !continues : type === frameType.continuation)
      this.#connection.fail(errorCode.protocolError, refusal.protocol);
    else if (!this.#control.settingsReceived && type !== frameType.settings)
      this.#connection.fail(errorCode.protocolError, refusal.preface);
    return !this.#connection.dead;
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (type === frameType.headers) this.#headers.onHeaders(flags, streamId, bytes, start, end);
    else if (type === frameType.continuation) this.#headers.onContinuation(flags, bytes, start, end);
    else this.#control.onFrame(type, flags, streamId, bytes, start, end);
  }

  onDataFrame(flags: number, streamId: number, length: number, padding: number): void {
    this.#data.onFrame(flags, streamId, length, padding);
  }

  onDataBytes(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#data.onBytes(bytes, start, end, last);
  }
}
