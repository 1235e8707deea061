/** Writes frames and header blocks by hand, including those that no peer should send. */
import { clientPreface, errorCode, frameFlag, frameType } from "../../data-plane/http2/protocol.js";

export type Field = readonly [name: string, value: string];

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export const preface = Buffer.from(clientPreface, "latin1");

const codeNames = new Map(Object.entries(errorCode).map(([name, code]) => [code as number, name]));

/** Returns "PROTOCOL_ERROR" for 1, and so on. */
export function codeName(code: number): string {
  const name = codeNames.get(code);
  return name === undefined ? `0x${code.toString(16)}` : name.replace(/[A-Z]/g, "_$&").toUpperCase();
}

/** Returns a frame. `claimed`: what its length field says instead of the payload's length. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
  claimed = payload.length,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(claimed, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export type Setting = readonly [id: number, value: number];

export function settings(entries: readonly Setting[] = []): Buffer {
  const payload = entries.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 0xff]), word(value)]));
  return frame(frameType.settings, 0, 0, Buffer.concat(payload));
}

export const settingsAck = frame(frameType.settings, frameFlag.ack, 0);
export const reset = (id: number, code: number): Buffer => frame(frameType.resetStream, 0, id, word(code));
export const windowUpdate = (id: number, add: number): Buffer => frame(frameType.windowUpdate, 0, id, word(add));
export const ping = (text = "12345678"): Buffer => frame(frameType.ping, 0, 0, Buffer.from(text));
export const data = (id: number, payload: Uint8Array, endStream = false): Buffer =>
  frame(frameType.data, endStream ? frameFlag.endStream : 0, id, payload);
/** Returns a PRIORITY frame with the lowest weight. `parent`: 0 unless given. */
export const priority = (id: number, parent = 0): Buffer =>
  frame(frameType.priority, 0, id, Buffer.concat([word(parent), Buffer.of(0)]));

/** Returns an HPACK integer with a prefix of `bits`, over the pattern `first` (RFC 7541, 5.1). */
export function integer(first: number, bits: number, value: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(first | value);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.of(...bytes, rest);
}

const plainString = (text: string): Buffer => {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([integer(0, 7, bytes.length), bytes]);
};

/**
 * Returns a literal field without Huffman coding. `indexed` puts it into the receiver's table. Each character is one
 * byte.
 */
export function literal([name, value]: Field, indexed = false): Buffer {
  return Buffer.concat([Buffer.of(indexed ? 0x40 : 0x00), plainString(name), plainString(value)]);
}

export const block = (fields: readonly Field[], indexed = false): Buffer =>
  Buffer.concat(fields.map((field) => literal(field, indexed)));

export interface HeadersOptions {
  readonly endStream?: boolean;
  readonly endHeaders?: boolean;
}

export function headers(
  id: number,
  content: readonly Field[] | Buffer,
  { endStream = false, endHeaders = true }: HeadersOptions = {},
): Buffer {
  const payload = Buffer.isBuffer(content) ? content : block(content);
  const flags = (endStream ? frameFlag.endStream : 0) | (endHeaders ? frameFlag.endHeaders : 0);
  if (payload.length <= 16_384) return frame(frameType.headers, flags, id, payload);
  const pieces = [frame(frameType.headers, flags & ~frameFlag.endHeaders, id, payload.subarray(0, 16_384))];
  for (let at = 16_384; at < payload.length; at += 16_384) {
    const last = at + 16_384 >= payload.length;
    const end = last && endHeaders ? frameFlag.endHeaders : 0;
    pieces.push(frame(frameType.continuation, end, id, payload.subarray(at, at + 16_384)));
  }
  return Buffer.concat(pieces);
}

/** Returns an uncompressed gRPC message. */
export function message(content: Uint8Array | string = ""): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.of(0), word(bytes.length), bytes]);
}

/** Returns the fields of a valid call. `replaced` replaces fields by name and appends new names. */
export function request(path: string, replaced: Readonly<Record<string, string>> = {}): Field[] {
  const fields: Record<string, string> = {
    ":method": "POST",
    ":scheme": "https",
    ":path": path,
    ":authority": "echo",
    te: "trailers",
    "content-type": "application/grpc",
    ...replaced,
  };
  return Object.entries(fields);
}

/** Returns the header block of a valid call of `test.Bytes/Unary`. */
export function requestBlock(replaced: Readonly<Record<string, string>> = {}): Buffer {
  return block(request("/test.Bytes/Unary", { ":scheme": "http", ":authority": "bytes", ...replaced }));
}

/** Returns the complete frames in `bytes`. */
export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({
      type: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      streamId: bytes.readUInt32BE(at + 5),
      payload,
    });
    at += 9 + length;
  }
  return frames;
}
