/** How a rule for servers is written down: what is sent, and what is to be seen. */
import { frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import type { RawPeer } from "../../support/raw-peer.js";
import { block, data, type Field, frame, headers, message, request } from "../../support/wire.js";
import { newId } from "../check.js";

export const good = request("/checks.Echo/Unary");
export const waiting = request("/checks.Echo/Wait");

export interface Rule {
  readonly section: string;
  readonly name: string;
  /** Sends; gives the stream that is to end, or 0 for the connection. */
  readonly act: (peer: RawPeer) => number;
  readonly wanted: RegExp;
}

export const connection = (code: string) => new RegExp(`^GOAWAY\\(${code}\\)$`);
/** Either: an endpoint may treat a stream error as one of the connection (5.4.2). */
export const either = (code: string) => new RegExp(`^(RST_STREAM|GOAWAY)\\(${code}\\)$`);
export const protocol = "PROTOCOL_ERROR";
export const size = "FRAME_SIZE_ERROR";
export const isServed = /^grpc-status 0$/;

export const send =
  (...bytes: Buffer[]) =>
  (peer: RawPeer): number => {
    peer.send(...bytes);
    return 0;
  };
/** On a new stream. */
export const on =
  (make: (id: number) => readonly Buffer[]) =>
  (peer: RawPeer): number => {
    const id = newId();
    peer.send(...make(id));
    return id;
  };
export const openThen = (make: (id: number) => readonly Buffer[], fields: readonly Field[] = waiting) =>
  on((id) => [headers(id, fields), ...make(id)]);
export const finish = (id: number) => data(id, message("x"), true);
export const onConnection =
  (act: (peer: RawPeer) => number) =>
  (peer: RawPeer): number => {
    act(peer);
    return 0;
  };
export const unindexed = Buffer.concat([
  block(good),
  Buffer.of(0x10, 3),
  Buffer.from("x-n"),
  Buffer.of(1),
  Buffer.from("v"),
]);
export const padded = (id: number, bytes: Buffer, pad: number, flags = 0) =>
  frame(frameType.data, frameFlag.padded | flags, id, Buffer.concat([Buffer.of(pad), bytes, Buffer.alloc(pad)]));
