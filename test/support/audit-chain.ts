/** Builds audit logs as control planes write them, for tests of their readers. */
import { type AuditTrust, renderAuditHead, renderAuditLine, renderAuditTrust } from "../../core/audit/audit-file.js";
import { type Digest, digestOf } from "../../core/digest.js";
import { encodeAuditEntry } from "../../core/wire/audit.js";
import { signAuditHead } from "../../core/wire/audit-head.js";
import { signTrust } from "../../core/wire/records.js";
import { buildTrust, createTestKey, testMesh } from "./records.js";

const [root, key] = [createTestKey(), createTestKey()];

export const auditTrust: AuditTrust = {
  mesh: testMesh,
  rootPublicKey: root.publicKey,
  trust: [signTrust(buildTrust([key]), testMesh, root.signer).bytes],
};
export const auditRootHash: Digest = digestOf(root.publicKey);

/** Returns the signed head of a log that ends with `entries`. */
export function signHead(entries: readonly Uint8Array[], signer = key.signer): Uint8Array {
  const head = {
    sequence: entries.length,
    entry: digestOf(entries.at(-1) ?? new Uint8Array()),
    timeMs: 1_700_000_000_000,
  };
  return signAuditHead(head, testMesh, signer);
}

/** Links the entries from `changedAt` on again, as an attacker with write access would. */
export function chainOf(details: readonly string[], headEvery = 5): Uint8Array[] {
  const entries: Uint8Array[] = [];
  const add = (action: string, detail: string): void => {
    const last = entries.at(-1);
    entries.push(
      encodeAuditEntry({
        ...{
          sequence: entries.length + 1,
          previous: last && digestOf(last),
          timeMs: 1_700_000_000_000 + entries.length,
        },
        actor: "spiffe://test.mesh/operator/ann",
        source: "127.0.0.1:1",
        action,
        target: "revision 1",
        outcome: "ok",
        detail,
        id: "00112233445566778899aabbccddeeff",
      }),
    );
  };
  for (const detail of details) {
    if (entries.length > 0 && entries.length % headEvery === 0)
      add("head", Buffer.from(signHead(entries)).toString("latin1"));
    add("publish", detail);
  }
  return entries;
}

/** Returns the lines of an exported log. */
export function fileOf(entries: readonly Uint8Array[], head: Uint8Array | undefined = signHead(entries)): string[] {
  const end = head === undefined ? [] : [renderAuditHead(head)];
  return [renderAuditTrust(auditTrust), ...entries.map(renderAuditLine), ...end];
}
