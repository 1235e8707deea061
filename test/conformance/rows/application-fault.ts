/** How the misbehaviour of an application is written down. */
import { frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import type { RawPeerOptions } from "../../support/raw-peer.js";
import { frame, headers, message, request, word } from "../../support/wire.js";
import { type Behaviour, okTrailers, responseHead } from "../upstream.js";

export const path = "/checks.Wild/Unary";
export const fields = (timeout?: string) =>
  request(path, { ":authority": "wild", ...(timeout === undefined ? {} : { "grpc-timeout": timeout }) });
export const reply: Behaviour = (peer, stream) => {
  peer.send(headers(stream.id, responseHead));
  peer.sendData(stream, message("ok"), okTrailers);
};
export const padded = (id: number, bytes: Buffer) =>
  frame(frameType.data, frameFlag.padded, id, Buffer.concat([Buffer.of(100), bytes, Buffer.alloc(100)]));
export const goaway = (last: number, code: number) =>
  frame(frameType.goaway, 0, 0, Buffer.concat([word(last), word(code)]));

export interface Fault {
  readonly name: string;
  readonly behave: Behaviour;
  readonly wanted: RegExp;
  readonly options?: RawPeerOptions;
}

export const broken = /^grpc-status (13|14)$|^RST_STREAM\((INTERNAL_ERROR|PROTOCOL_ERROR)\)$/;
