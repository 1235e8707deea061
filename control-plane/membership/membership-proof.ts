/** Builds the bytes that a joining or renewing control plane signs to prove that it holds its key. */
import { createHash } from "node:crypto";

const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();

/** Returns the bytes that the record-signing key signs at join: its holder asks for this intermediate CA. */
export function delegationBytes(csr: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from("ashlar-delegate-v1"), sha256(csr)]);
}

/** Returns the bytes that the record-signing key signs at renewal; the nonce makes the signature valid once. */
export function renewalBytes(request: {
  readonly nonce: Uint8Array;
  readonly csr: Uint8Array;
  readonly joinAddress: string;
}): Uint8Array {
  const { nonce, csr, joinAddress } = request;
  return Buffer.concat([Buffer.from("ashlar-membership-v1"), nonce, sha256(csr), sha256(joinAddress)]);
}

/** Returns the thumbprint that binds a token to both keys of the control plane that used it. */
export function memberThumbprint(caThumbprint: string, signingKey: Uint8Array): string {
  return createHash("sha256").update(caThumbprint).update(signingKey).digest("hex");
}
