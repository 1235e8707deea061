/**
 * Cuts private fields out of gRPC-framed messages. What remains is a message of the same type with correct lengths, and
 * the cut parts can be put back to restore the same bytes. A message that cannot be parsed (compressed, with groups, or
 * not protobuf) is cut out whole, so that nothing private remains because it was not understood.
 */
import { splitFrames } from "../../wire/journal/grpc-frames.js";
import { type Edit, encodeEdits, readVarint, renderVarint } from "./edits.js";

/** The fields to cut out of a message, by field number: the whole field, or parts of the messages in it. */
export type Cuts = ReadonlyMap<number, Cuts | "all">;

/** The remaining bytes, and the edits that put back what was cut; undefined: nothing was cut. */
export interface Cut {
  readonly stored: Uint8Array;
  readonly edits: Uint8Array | undefined;
}

interface Rewritten {
  readonly bytes: Uint8Array;
  readonly edits: readonly Edit[];
}

const prefixBytes = 5;
/** The largest field number of protobuf. */
const fieldNumberMax = 2 ** 29 - 1;

/** Returns paths such as "3" and "4.2" as a tree. A path below a field that is cut whole adds nothing. */
export function cutsOf(paths: readonly (readonly number[])[]): Cuts {
  const root = new Map<number, Cuts | "all">();
  for (const path of paths) {
    let here = root;
    for (const [index, number] of path.entries()) {
      const found = here.get(number);
      if (found === "all") break;
      if (index === path.length - 1) here.set(number, "all");
      else {
        const below = (found ?? new Map()) as Map<number, Cuts | "all">;
        here.set(number, below);
        here = below;
      }
    }
  }
  return root;
}

/** Cuts fields out of framed messages. Never fails: bytes that are not whole frames are cut out completely. */
export function cutFrames(framed: Uint8Array, cuts: Cuts): Cut {
  const frames = splitFrames(framed);
  if (frames === undefined) {
    const whole = { at: 0, kept: 0, original: framed };
    return { stored: new Uint8Array(), edits: encodeEdits([whole]) };
  }
  const out = new Output();
  let at = 0;
  for (const { isCompressed, bytes } of frames) {
    const prefix = framed.subarray(at, at + prefixBytes);
    at += prefixBytes + bytes.length;
    const rewritten = isCompressed ? undefined : rewrite(bytes, cuts);
    const all = { bytes: new Uint8Array(), edits: [{ at: 0, kept: 0, original: bytes }] };
    out.nested(prefix, framePrefix, rewritten ?? (bytes.length === 0 ? { bytes, edits: [] } : all));
  }
  const { bytes, edits } = out.rewritten;
  return { stored: bytes, edits: edits.length === 0 ? undefined : encodeEdits(edits) };
}

/** Returns the prefix of an uncompressed frame, or of the empty frame that replaces a compressed one. */
function framePrefix(length: number): Uint8Array {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/**
 * Returns the message without the fields in `cuts`, or undefined if the bytes are no protobuf message or contain
 * groups.
 */
function rewrite(message: Uint8Array, cuts: Cuts): Rewritten | undefined {
  const out = new Output();
  for (let at = 0; at < message.length; ) {
    const field = readField(message, at);
    if (field === undefined) return undefined;
    const { number, bodyAt, end, isNested } = field;
    const cut = cuts.get(number);
    if (cut === undefined) out.keep(message.subarray(at, end));
    else if (cut === "all" || !isNested) out.cut(message.subarray(at, end));
    else {
      const inner = rewrite(message.subarray(bodyAt, end), cut);
      if (inner === undefined) return undefined;
      out.keep(message.subarray(at, field.lengthAt));
      out.nested(message.subarray(field.lengthAt, bodyAt), renderVarint, inner);
    }
    at = end;
  }
  return out.rewritten;
}

/**
 * Returns where the length and the body of a field begin, and where the field ends; undefined: there is no field that
 * could be cut out.
 */
export function readField(message: Uint8Array, at: number) {
  const tag = readVarint(message, at);
  if (tag === undefined) return undefined;
  const number = Math.floor(tag.value / 8);
  if (number < 1 || number > fieldNumberMax) return undefined;
  const ending = (bodyAt: number, end: number, isNested = false) =>
    end > message.length ? undefined : { number, wireType: tag.value % 8, lengthAt: tag.end, bodyAt, end, isNested };
  switch (tag.value % 8) {
    case 0: {
      // a 64-bit value may exceed a JavaScript number, so only its end is computed
      let end = tag.end;
      while ((message[end] ?? 0) >= 128) end += 1;
      return end - tag.end >= 10 ? undefined : ending(tag.end, end + 1);
    }
    case 1:
      return ending(tag.end, tag.end + 8);
    case 2: {
      const length = readVarint(message, tag.end);
      return length && ending(length.end, length.end + length.value, true);
    }
    case 5:
      return ending(tag.end, tag.end + 4);
    default:
      return undefined; // groups, and wire types that protobuf does not have
  }
}

/** Collects the remaining bytes, with the edits that restore the original. */
class Output {
  readonly #parts: Uint8Array[] = [];
  readonly #edits: Edit[] = [];
  #length = 0;

  keep(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  cut(original: Uint8Array): void {
    this.#edits.push({ at: this.#length, kept: 0, original });
  }

  /** Adds a nested message with its length. The length is rewritten if the message has become shorter. */
  nested(prefix: Uint8Array, prefixOf: (length: number) => Uint8Array, { bytes, edits }: Rewritten): void {
    const isSame = edits.length === 0;
    const now = isSame ? prefix : prefixOf(bytes.length);
    if (!isSame) this.#edits.push({ at: this.#length, kept: now.length, original: prefix });
    this.keep(now);
    for (const edit of edits) this.#edits.push({ ...edit, at: edit.at + this.#length });
    this.keep(bytes);
  }

  get rewritten(): Rewritten {
    return { bytes: Buffer.concat(this.#parts), edits: this.#edits };
  }
}
