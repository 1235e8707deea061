/** Keys and records for tests. */
import { generateKeyPairSync } from "node:crypto";
import { digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Activation, Freshness, Revision, Signed, Trust } from "../../core/model.js";
import { parentAfter } from "../../core/revision.js";
import { createSigner, keyIdOf, publicKeyToBytes, type Signer } from "../../core/signature.js";

export const testMesh = "test.mesh";
export const testAuthor = buildSpiffeId(testMesh, "operator", "alice");

export interface TestKey {
  readonly signer: Signer;
  readonly publicKey: Uint8Array;
}

export function createTestKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { signer: createSigner(privateKey), publicKey: publicKeyToBytes(publicKey) };
}

export function buildTrust(keys: readonly TestKey[], previous?: Signed<Trust>): Trust {
  return {
    sequence: (previous?.body.sequence ?? 0) + 1,
    previous: previous?.digest,
    bundles: [{ trustDomain: testMesh, x509Roots: [new Uint8Array([1, 2, 3])] }],
    signingKeys: keys
      .map((key) => ({ kid: keyIdOf(key.publicKey), publicKey: key.publicKey, holder: "control-plane" }))
      .sort((a, b) => (a.kid < b.kid ? -1 : 1)),
    revocations: [],
    timeMs: 1_700_000_000_000,
    issuers: [],
    egresses: [],
  };
}

export function buildRevision(head: Signed<Revision> | undefined, message = "a change"): Revision {
  return {
    number: (head?.body.number ?? 0) + 1,
    parent: parentAfter(head),
    snapshot: digestOf(Buffer.from(message)),
    changes: [{ name: "payments", digest: digestOf(Buffer.from(`unit ${message}`)) }],
    author: testAuthor,
    message,
    timeMs: 1_700_000_000_000,
  };
}

export function buildActivation(
  seen: Signed<Activation> | undefined,
  revision: Signed<Revision>,
  rollbackOf?: number,
): Activation {
  return {
    epoch: (seen?.body.epoch ?? 0) + 1,
    previous: seen?.digest,
    revisionNumber: revision.body.number,
    revisionDigest: revision.digest,
    author: testAuthor,
    reason: "test",
    rollbackOf,
    timeMs: 1_700_000_000_000,
    forced: false,
    thresholdPercent: 0,
    rollout: undefined,
  };
}

export function buildFreshness(epoch = 0): Freshness {
  return {
    epoch,
    activation: epoch === 0 ? undefined : digestOf(Buffer.from("activation")),
    trustSequence: 1,
    revisionNumber: 0,
    issuedMs: 1000,
    expiresMs: 6000,
  };
}

/** What has to be there; fails if it is not. */
export function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("what the test needs is not there");
  return value;
}
