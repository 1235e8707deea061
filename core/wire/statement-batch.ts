/**
 * One signature for several records (decision 0073). It is over the root of a hash tree of their digests, and each
 * record carries its place in the tree beside the statement, so that it can be verified without the others. Pure.
 */
import { hash } from "node:crypto";
import { AshlarError } from "../errors.js";

/** The most records under one signature. */
export const batchRecordsMax = 1024;
const digestBytes = 32;
const placeLengthMax = 512;
const separator = ".";

const leafHash = (digest: Uint8Array): Buffer => hash("sha256", Buffer.concat([Buffer.of(0), digest]), "buffer");
const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  hash("sha256", Buffer.concat([Buffer.of(1), left, right]), "buffer");

/** Returns the bytes that a statement of kind "journal-batch" is over. */
function bodyOf(count: number, root: Uint8Array): Buffer {
  const body = Buffer.alloc(4 + digestBytes);
  body.writeUInt32BE(count);
  body.set(root, 4);
  return body;
}

/** Returns the bytes to sign for all digests, and the place of each record, in their order. */
export function buildBatch(digests: readonly Uint8Array[]): { readonly body: Buffer; readonly places: string[] } {
  const count = digests.length;
  const paths: Uint8Array[][] = digests.map(() => []);
  let level = digests.map(leafHash);
  for (let depth = 0; level.length > 1; depth += 1) {
    const above: Buffer[] = [];
    for (let at = 0; at + 1 < level.length; at += 2) above.push(nodeHash(level[at] as Buffer, level[at + 1] as Buffer));
    for (const [index, path] of paths.entries()) {
      const sibling = level[(index >> depth) ^ 1]; // undefined: the last node of an odd level moves up unchanged
      if (sibling !== undefined) path.push(sibling);
    }
    if (level.length % 2 === 1) above.push(level.at(-1) as Buffer);
    level = above;
  }
  const places = paths.map((path, index) => {
    const numbers = Buffer.alloc(4);
    numbers.writeUInt16BE(index, 0);
    numbers.writeUInt16BE(count, 2);
    return Buffer.concat([numbers, ...path]).toString("base64url");
  });
  return { body: bodyOf(count, level[0] ?? Buffer.alloc(digestBytes)), places };
}

/** Returns the header's value for one record of a batch. */
export const withPlace = (statement: string, place: string): string => `${statement}${separator}${place}`;

/**
 * Splits a header's value into the statement and the record's place in its batch; undefined: the record was signed
 * alone.
 */
export function splitPlace(header: string): { readonly statement: string; readonly place: string | undefined } {
  const at = header.indexOf(separator);
  if (at < 0) return { statement: header, place: undefined };
  return { statement: header.slice(0, at), place: header.slice(at + separator.length) };
}

/**
 * Returns the bytes that the statement must be over if a record with this digest has this place. Fails with
 * `invalid_record`.
 */
export function bodyAtPlace(digest: Uint8Array, place: string): Buffer {
  const bytes = place.length > placeLengthMax ? Buffer.alloc(0) : Buffer.from(place, "base64url");
  if (bytes.length < 4 || bytes.toString("base64url") !== place) throw wrongPlace();
  const count = bytes.readUInt16BE(2);
  if (count > batchRecordsMax || bytes.readUInt16BE(0) >= count) throw wrongPlace();
  let node = leafHash(digest);
  let read = 4;
  for (let index = bytes.readUInt16BE(0), width = count; width > 1; index >>= 1, width = (width + 1) >> 1) {
    if ((index ^ 1) >= width) continue; // the last node of an odd level
    const sibling = bytes.subarray(read, read + digestBytes);
    read += digestBytes;
    if (read > bytes.length) throw wrongPlace();
    node = index % 2 === 0 ? nodeHash(node, sibling) : nodeHash(sibling, node);
  }
  if (read !== bytes.length) throw wrongPlace();
  return bodyOf(count, node);
}

const wrongPlace = (): AshlarError => new AshlarError("invalid_record", "statement: its place in a batch is none");
