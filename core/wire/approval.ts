/** Signed approvals of revisions, which are stored in the audit log. */
import { Approval as ApprovalMessage } from "../../proto/gen/ashlar/v1/audit.js";
import { type Digest, digestFromBytes, digestToBytes } from "../digest.js";
import { parseSpiffeId, type SpiffeId } from "../identity.js";
import { type KeySet, type Signer, signRecord, verifyRecord } from "../signature.js";
import { boundedText, integer } from "./bounds.js";
import { decodeStrict, reading } from "./strict.js";

/** An operator's approval of a revision. */
export interface Approval {
  readonly revision: number;
  readonly digest: Digest;
  readonly operator: SpiffeId;
  readonly reason: string;
  readonly timeMs: number;
}

const type = "ashlar-approval";
const payloadBytesMax = 2048;
/** The most bytes of a reason, so that a signed approval fits into an entry of the audit log. */
export const approvalReasonBytesMax = 1024;

/** Returns the signed approval as a JWS in compact form. */
export function signApproval(approval: Approval, mesh: string, signer: Signer): string {
  const digest = Buffer.from(digestToBytes(approval.digest));
  const payload = ApprovalMessage.encode({ ...approval, digest }).finish();
  return Buffer.from(signRecord(type, mesh, payload, signer)).toString("latin1");
}

/**
 * Verifies and then parses an approval. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown.
 */
export function verifyApproval(text: string, mesh: string, keys: KeySet): Approval {
  const { payload } = verifyRecord(Buffer.from(text, "latin1"), type, mesh, keys);
  const message = decodeStrict(ApprovalMessage, payload, type, payloadBytesMax);
  return reading(type, () => ({
    revision: integer("revision", message.revision, 1),
    digest: digestFromBytes(message.digest),
    operator: parseSpiffeId(message.operator),
    reason: boundedText("reason", message.reason, approvalReasonBytesMax),
    timeMs: integer("time_ms", message.timeMs, 0),
  }));
}
