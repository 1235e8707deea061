/**
 * Encodes and decodes google.rpc.Status with ErrorInfo and BadRequest (googleapis
 * google/rpc/{status,error_details}.proto).
 */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";

export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface StatusDetails {
  readonly code: number;
  readonly message: string;
  /** The reason in ErrorInfo; empty: there is none. */
  readonly reason: string;
  readonly domain: string;
  /** The violations in BadRequest; empty: there are none. */
  readonly violations: readonly FieldViolation[];
}

const typePrefix = "type.googleapis.com/google.rpc.";
const bytesMax = 4096; // with base64 and grpc-message, all trailers then stay below 8 KiB

/** Encodes a google.rpc.Status. Violations that would make it longer than 4 KiB are dropped from the end. */
export function encodeStatusDetails(details: StatusDetails): Uint8Array {
  for (let kept = details.violations.length; ; kept = Math.floor(kept / 2)) {
    const bytes = encode({ ...details, violations: details.violations.slice(0, kept) });
    if (bytes.length <= bytesMax || kept === 0) return bytes;
  }
}

function encode({ code, message, reason, domain, violations }: StatusDetails): Uint8Array {
  const writer = new BinaryWriter().uint32(8).int32(code).uint32(18).string(message);
  if (reason !== "") {
    writeAny(writer, "ErrorInfo", new BinaryWriter().uint32(10).string(reason).uint32(18).string(domain));
  }
  if (violations.length > 0) {
    const request = new BinaryWriter();
    for (const { field, description } of violations) {
      request.uint32(10).fork().uint32(10).string(field).uint32(18).string(description).join();
    }
    writeAny(writer, "BadRequest", request);
  }
  return writer.finish();
}

function writeAny(to: BinaryWriter, type: string, value: BinaryWriter): void {
  to.uint32(26).fork().uint32(10).string(`${typePrefix}${type}`).uint32(18).bytes(value.finish()).join();
}

/** Decodes a google.rpc.Status and skips details of other types. Throws on malformed protobuf. */
export function decodeStatusDetails(bytes: Uint8Array): StatusDetails {
  let [code, message, reason, domain] = [0, "", "", ""];
  const violations: FieldViolation[] = [];
  readFields(bytes, (field, reader) => {
    if (field === 1) code = reader.int32();
    else if (field === 2) message = reader.string();
    else if (field === 3) {
      const any = readStrings(reader.bytes());
      if (any.first === `${typePrefix}ErrorInfo`) {
        ({ first: reason, second: domain } = readStrings(any.secondBytes));
      } else if (any.first === `${typePrefix}BadRequest`) {
        violations.push(...readViolations(any.secondBytes));
      }
    } else return false;
    return true;
  });
  return { code, message, reason, domain, violations };
}

function readViolations(bytes: Uint8Array): FieldViolation[] {
  const violations: FieldViolation[] = [];
  readFields(bytes, (field, reader) => {
    if (field !== 1) return false;
    const { first, second } = readStrings(reader.bytes());
    violations.push({ field: first, description: second });
    return true;
  });
  return violations;
}

/** Reads fields 1 and 2 of a message, both length-delimited. */
function readStrings(bytes: Uint8Array): { first: string; second: string; secondBytes: Uint8Array } {
  let first = "";
  let secondBytes: Uint8Array = new Uint8Array();
  readFields(bytes, (field, reader) => {
    if (field === 1) first = reader.string();
    else if (field === 2) secondBytes = reader.bytes();
    else return false;
    return true;
  });
  return { first, second: Buffer.from(secondBytes).toString("utf8"), secondBytes };
}

/** Calls `read` for each field; it returns false if it did not consume the value. */
function readFields(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const before = reader.pos;
    if (!read(field, reader)) {
      reader.pos = before;
      reader.skip(wireType);
    }
  }
}
