/** Signed heads of the audit log. */
import { AuditHead as HeadMessage } from "../../proto/gen/ashlar/v1/audit.js";
import { type Digest, digestFromBytes, digestToBytes } from "../digest.js";
import { type KeySet, type Signer, signRecord, verifyRecord } from "../signature.js";
import { integer } from "./bounds.js";
import { decodeStrict, reading } from "./strict.js";

/** The state of the audit log at some time. */
export interface AuditHead {
  /** The number of the last entry. */
  readonly sequence: number;
  /** The digest of the last entry. */
  readonly entry: Digest;
  readonly timeMs: number;
}

const type = "ashlar-audit-head";
const payloadBytesMax = 1024;

/** Returns the signed head as a JWS in compact form. */
export function signAuditHead(head: AuditHead, mesh: string, signer: Signer): Uint8Array {
  const entry = Buffer.from(digestToBytes(head.entry));
  return signRecord(type, mesh, HeadMessage.encode({ ...head, entry }).finish(), signer);
}

/** Verifies and then parses a head. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown. */
export function verifyAuditHead(bytes: Uint8Array, mesh: string, keys: KeySet): AuditHead {
  const { payload } = verifyRecord(bytes, type, mesh, keys);
  const message = decodeStrict(HeadMessage, payload, type, payloadBytesMax);
  return reading(type, () => ({
    sequence: integer("sequence", message.sequence, 1),
    entry: digestFromBytes(message.entry),
    timeMs: integer("time_ms", message.timeMs, 0),
  }));
}
