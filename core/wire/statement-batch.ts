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

/** What is hashed, in buffers that are used again: a kind, and one digest or two. */
const leafInput = Buffer.alloc(1 + digestBytes, 0);
const nodeInput = Buffer.alloc(1 + 2 * digestBytes, 1);

/** Writes a hash to a place; in hexadecimal, since a text is cheaper to get out of the hash than bytes are. */
function writeHash(input: Buffer, to: Buffer, at: number): void {
  to.write(hash("sha256", input, "hex"), at, "hex");
}

function writeLeaf(digest: Uint8Array, to: Buffer, at: number): void {
  leafInput.set(digest, 1);
  writeHash(leafInput, to, at);
}

function writeNode(left: Uint8Array, right: Uint8Array, to: Buffer, at: number): void {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + digestBytes);
  writeHash(nodeInput, to, at);
}

/** Returns the bytes that a statement of kind "journal-batch" is over. */
function bodyOf(count: number, root: Uint8Array): Buffer {
  const body = Buffer.alloc(4 + digestBytes);
  body.writeUInt32BE(count);
  body.set(root, 4);
  return body;
}

/** Returns the levels of the tree, from the leaves to the root. Each is one buffer with a digest after the other. */
function buildLevels(digests: readonly Uint8Array[]): readonly Buffer[] {
  let level = Buffer.allocUnsafe(digests.length * digestBytes);
  for (const [index, digest] of digests.entries()) writeLeaf(digest, level, index * digestBytes);
  const levels = [level];
  while (level.length > digestBytes) {
    const above = Buffer.allocUnsafe(Math.ceil(level.length / (2 * digestBytes)) * digestBytes);
    for (let to = 0; to < above.length; to += digestBytes) {
      const [from, middle] = [2 * to, 2 * to + digestBytes];
      if (middle === level.length)
        level.copy(above, to, from); // the last node of an odd level moves up unchanged
      else writeNode(level.subarray(from, middle), level.subarray(middle, middle + digestBytes), above, to);
    }
    levels.push(above);
    level = above;
  }
  return levels;
}

/** Returns the bytes to sign for all digests, and the place of each record, in their order. */
export function buildBatch(digests: readonly Uint8Array[]): { readonly body: Buffer; readonly places: string[] } {
  const count = digests.length;
  const levels = buildLevels(digests);
  const place = Buffer.allocUnsafe(4 + levels.length * digestBytes);
  place.writeUInt16BE(count, 2);
  const places = digests.map((_, index) => {
    place.writeUInt16BE(index, 0);
    let end = 4;
    for (const [depth, level] of levels.entries()) {
      const sibling = ((index >> depth) ^ 1) * digestBytes;
      if (level.length === digestBytes || sibling >= level.length) continue;
      level.copy(place, end, sibling, sibling + digestBytes);
      end += digestBytes;
    }
    return place.toString("base64url", 0, end);
  });
  return { body: bodyOf(count, levels.at(-1) ?? Buffer.alloc(digestBytes)), places };
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
  const node = Buffer.allocUnsafe(digestBytes);
  writeLeaf(digest, node, 0);
  let read = 4;
  for (let index = bytes.readUInt16BE(0), width = count; width > 1; index >>= 1, width = (width + 1) >> 1) {
    if ((index ^ 1) >= width) continue; // the last node of an odd level
    const sibling = bytes.subarray(read, read + digestBytes);
    read += digestBytes;
    if (read > bytes.length) throw wrongPlace();
    if (index % 2 === 0) writeNode(node, sibling, node, 0);
    else writeNode(sibling, node, node, 0);
  }
  if (read !== bytes.length) throw wrongPlace();
  return bodyOf(count, node);
}

const wrongPlace = (): AshlarError => new AshlarError("invalid_record", "statement: its place in a batch is none");
