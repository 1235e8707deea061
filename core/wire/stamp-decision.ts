/** Writes what differs between decisions that are otherwise alike, so that what they share is encoded once. */
import type { RecordedHeader } from "../decision/decision-record.js";
import { stateOf } from "./decision-inputs.js";

/** What differs between decisions that are otherwise alike. */
export interface DecisionStamp {
  readonly id: string;
  readonly timeMs: number;
  /** See `RoutingInputs`; left out: 0. */
  readonly draw?: number;
  /** See `DecisionInputs`; left out: none was recorded. */
  readonly headers?: readonly RecordedHeader[];
  /** See `DecisionRecord`. */
  readonly traceId?: string | undefined;
}

const noHeaders: readonly RecordedHeader[] = [];
const idBytes = 12;
const traceBytes = 16;
const digestBytes = 32;
/** The most bytes of a number: enough for milliseconds until long after the year 10000. */
const varintBytesMax = 8;
/** The most bytes of all fields but headers, each with its tag (at most two bytes) and its length. */
const fixedBytesMax = 2 + idBytes + 1 + varintBytesMax + 2 + 8 + 3 + traceBytes;
/** The most bytes of a header beside its name and value: tags, lengths, the state and the digest. */
const headerBytesMax = 4 * (1 + varintBytesMax) + 2 + digestBytes;

const bytesField = (number: number): number => (number << 3) | 2;

/**
 * Returns the bytes of a decision with this stamp. `rest` has all other fields, as `encodeDecision` encodes them with an
 * empty id, time 0, draw 0, no headers and no trace. Protobuf accepts fields in any order.
 */
export function stampDecision(rest: Uint8Array, stamp: DecisionStamp): Uint8Array {
  const { id, timeMs, draw = 0, headers = noHeaders, traceId = "" } = stamp;
  let most = fixedBytesMax + rest.length;
  for (const header of headers) most += headerBytesMax + 3 * (header.name.length + valueOfHeader(header).length);
  const bytes = Buffer.allocUnsafe(most);
  let at = writeHex(bytes, 0, 1, id, idBytes);
  bytes[at++] = 10 << 3;
  at = writeVarint(bytes, at, timeMs);
  for (const header of headers) at = writeHeader(bytes, at, header);
  if (draw !== 0) {
    at = writeVarint(bytes, at, (18 << 3) | 1);
    at = bytes.writeDoubleLE(draw, at);
  }
  if (traceId !== "") at = writeHex(bytes, at, 33, traceId, traceBytes);
  bytes.set(rest, at);
  return bytes.subarray(0, at + rest.length);
}

const valueOfHeader = ({ content }: RecordedHeader): string => (content.state === "whole" ? content.value : "");

/** Writes a message `RecordedHeader`, whose own length comes before it. */
function writeHeader(bytes: Buffer, start: number, header: RecordedHeader): number {
  const { name, content, digest } = header;
  const value = valueOfHeader(header);
  const [nameLength, valueLength] = [Buffer.byteLength(name), Buffer.byteLength(value)];
  let length = 1 + varintBytes(nameLength) + nameLength + 2;
  if (valueLength > 0) length += 1 + varintBytes(valueLength) + valueLength;
  if (digest !== "") length += 2 + digestBytes;
  let at = start;
  bytes[at++] = bytesField(11);
  at = writeVarint(bytes, at, length);
  at = writeText(bytes, at, 1, name, nameLength);
  bytes[at++] = 2 << 3;
  bytes[at++] = stateOf[content.state];
  if (valueLength > 0) at = writeText(bytes, at, 3, value, valueLength);
  return digest === "" ? at : writeHex(bytes, at, 4, digest, digestBytes);
}

function writeText(bytes: Buffer, start: number, number: number, text: string, length: number): number {
  bytes[start] = bytesField(number);
  const at = writeVarint(bytes, start + 1, length);
  return at + bytes.write(text, at, length, "utf8");
}

function writeHex(bytes: Buffer, start: number, number: number, text: string, length: number): number {
  let at = writeVarint(bytes, start, bytesField(number));
  bytes[at++] = length;
  return at + bytes.write(text, at, length, "hex");
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let [at, left] = [start, value];
  for (; left > 0x7f; left = Math.floor(left / 0x80)) bytes[at++] = (left % 0x80) | 0x80;
  bytes[at++] = left;
  return at;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let left = value; left > 0x7f; left = Math.floor(left / 0x80)) count++;
  return count;
}
