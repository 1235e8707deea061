/**
 * Encodes and decodes every kind of signed record: deterministic protobuf in a JWS, which is verified first and parsed
 * after.
 */
import { type Digest, digestFromBytes, digestOf } from "../digest.js";
import { AshlarError } from "../errors.js";
import type { Signed } from "../model.js";
import { type IsNamed, type KeySet, type RecordType, type Signer, signRecord, verifyRecord } from "../signature.js";
import { VerifiedRecords } from "./verified-records.js";

/** The most bytes of a signed record, which leaves room for headers in a NATS message of 1 MiB. */
export const signedBytesMax = 1024 * 1024 - 16 * 1024;
export const payloadBytesMax = 1024 * 1024;

const verified = new VerifiedRecords();

/** How one kind of record is written and read. */
export interface RecordCodec<Body> {
  readonly type: RecordType;
  encode(body: Body): Uint8Array;
  parse(payload: Uint8Array): Body;
}

export function signWith<Body>(codec: RecordCodec<Body>, body: Body, mesh: string, signer: Signer): Signed<Body> {
  const payload = codec.encode(body);
  const checked = codec.parse(payload); // a writer never signs what a reader would refuse
  const bytes = signRecord(codec.type, mesh, payload, signer);
  if (bytes.length > signedBytesMax) {
    throw new AshlarError("limit", `${codec.type}: ${bytes.length} bytes signed, at most ${signedBytesMax} fit`);
  }
  return { body: checked, bytes, digest: digestOf(bytes), kid: signer.kid };
}

export function verifyWith<Body>(
  codec: RecordCodec<Body>,
  bytes: Uint8Array,
  mesh: string,
  keys: KeySet,
  isNamed?: IsNamed,
): Signed<Body> {
  const digest = digestOf(bytes);
  const known = verified.find(digest, { codec, mesh }, keys);
  if (known !== undefined) return known as Signed<Body>; // the codec is the same, hence the body's type
  const own = bytes.slice(); // the digest must stay that of the bytes, whatever happens to the caller's buffer
  const { payload, kid } = verifyRecord(own, codec.type, mesh, keys, isNamed);
  const record = { body: codec.parse(payload), bytes: own, digest, kid };
  const key = keys.get(kid); // undefined: another record named this one
  if (key !== undefined) verified.add(record, { codec, mesh }, key);
  return record;
}

export function digestToBuffer(digest: Digest | undefined): Buffer {
  return digest === undefined ? Buffer.alloc(0) : Buffer.from(digest, "hex");
}

/** Returns a Buffer over the same memory, without a copy. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

export function optionalDigest(bytes: Uint8Array): Digest | undefined {
  return bytes.length === 0 ? undefined : digestFromBytes(bytes);
}
