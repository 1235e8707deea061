/** Whom a request is about: the text of one of its fields, read from its bytes by the field's number. */
import { splitFrames } from "../../wire/journal/grpc-frames.js";
import { readField } from "./cut.js";

/** The types of protobuf that a subject may have. An enum is an int32. */
export const subjectTypes = [
  "string",
  "bytes",
  "int32",
  "int64",
  "uint32",
  "uint64",
  "sint32",
  "sint64",
  "fixed32",
  "fixed64",
  "sfixed32",
  "sfixed64",
] as const;
export type SubjectType = (typeof subjectTypes)[number];

/** The subject of a method's private fields. */
export interface SubjectField {
  readonly method: string;
  /** The number of a field of the request message. */
  readonly number: number;
  readonly type: SubjectType;
}

const grammar = new RegExp(
  `^([A-Za-z_][\\w.]*/[A-Za-z_]\\w*) request\\.([1-9][0-9]{0,8})(?: (${subjectTypes.filter((type) => type !== "string").join("|")}))?$`,
);
export const subjectFieldPattern = grammar.source;
/** The most bytes of a subject: as many as a key of a call may have. */
const subjectBytesMax = 512;
const fieldNumberMax = 2 ** 29 - 1;

/** Parses "package.Service/Method request.2", a string, or "package.Service/Method request.2 int64". */
export function parseSubjectField(text: string): SubjectField | undefined {
  const [, method = "", digits = "", type = "string"] = text.length <= 512 ? (grammar.exec(text) ?? []) : [];
  const number = Number(digits);
  return number < 1 || number > fieldNumberMax ? undefined : { method, number, type: type as SubjectType };
}

/** Returns the text that `parseSubjectField` reads. */
export const renderSubjectField = ({ method, number, type }: SubjectField): string =>
  `${method} request.${number}${type === "string" ? "" : ` ${type}`}`;

/** Returns the subjects by method. */
export const subjectsOf = (texts: readonly string[]): ReadonlyMap<string, SubjectField> =>
  new Map(texts.flatMap((text) => parseSubjectField(text) ?? []).map((subject) => [subject.method, subject]));

/**
 * Reads the subject of gRPC-framed messages from the first of them. The last occurrence of the field counts, as in
 * protobuf. `why` completes "the subject …". An empty text, and a 0, which no message of proto3 can tell from a missing
 * number, are no subject.
 */
export function readSubject(
  framed: Uint8Array,
  { number, type }: Pick<SubjectField, "number" | "type">,
): { readonly text: string } | { readonly why: string } {
  const frames = splitFrames(framed);
  if (frames === undefined) return { why: "cannot be read: the request is not in whole messages" };
  const [first] = frames;
  if (first?.isCompressed === true) return { why: "cannot be read: the message is compressed" };
  const message = first?.bytes ?? new Uint8Array();
  let found: Uint8Array | undefined;
  for (let at = 0; at < message.length; ) {
    const field = readField(message, at);
    if (field === undefined) return { why: "cannot be read: the message is no protobuf, or has groups" };
    if (field.number === number && field.wireType === wireTypes[type])
      found = message.subarray(field.bodyAt, field.end); // one of another wire type is an unknown field
    at = field.end;
  }
  const text = found === undefined ? "" : textOf(found, type);
  if (text === undefined) return { why: "is no text in UTF-8" };
  if (text === "" || (text === "0" && type !== "string"))
    return { why: `is empty: field ${number} of the request names nobody` };
  const bytes = Buffer.byteLength(text);
  return bytes > subjectBytesMax ? { why: `has ${bytes} bytes, at most ${subjectBytesMax} are allowed` } : { text };
}

const wireTypes: { readonly [Type in SubjectType]: number } = {
  string: 2,
  bytes: 2,
  int32: 0,
  int64: 0,
  uint32: 0,
  uint64: 0,
  sint32: 0,
  sint64: 0,
  fixed32: 5,
  sfixed32: 5,
  fixed64: 1,
  sfixed64: 1,
};

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Returns the text of a field's bytes: integers in decimals, bytes in lower-case hexadecimal. undefined: no UTF-8. */
function textOf(body: Uint8Array, type: SubjectType): string | undefined {
  switch (type) {
    case "string":
      try {
        return utf8.decode(body);
      } catch {
        return undefined;
      }
    case "bytes":
      return Buffer.from(body).toString("hex");
    case "int32":
    case "sfixed32":
      return String(BigInt.asIntN(32, integerOf(body, type)));
    case "int64":
    case "sfixed64":
      return String(BigInt.asIntN(64, integerOf(body, type)));
    case "uint32":
    case "fixed32":
      return String(BigInt.asUintN(32, integerOf(body, type)));
    case "uint64":
    case "fixed64":
      return String(BigInt.asUintN(64, integerOf(body, type)));
    case "sint32":
    case "sint64": {
      const coded = BigInt.asUintN(type === "sint32" ? 32 : 64, integerOf(body, type));
      return String((coded >> 1n) ^ -(coded & 1n));
    }
  }
}

/** Returns the integer of a varint's bytes, or of four or eight bytes in little-endian order. */
function integerOf(body: Uint8Array, type: SubjectType): bigint {
  const [bits, mask] = wireTypes[type] === 0 ? [7n, 127] : [8n, 255];
  let value = 0n;
  for (const [index, byte] of body.entries()) value |= BigInt(byte & mask) << (bits * BigInt(index));
  return value;
}
