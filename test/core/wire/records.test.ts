import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { compactVerify, importJWK } from "jose";
import { digestOf } from "../../../core/digest.js";
import { isAshlarError } from "../../../core/errors.js";
import type { Revision } from "../../../core/model.js";
import { keyIdOf, publicKeyFromBytes, type RecordType, signRecord } from "../../../core/signature.js";
import { orderValidMsMax, signPrepareOrder, verifyPrepareOrder } from "../../../core/wire/prepare-orders.js";
import { signedBytesMax } from "../../../core/wire/record-codec.js";
import * as records from "../../../core/wire/records.js";
import { Activation } from "../../../proto/gen/ashlar/v1/records.js";
import {
  buildActivation,
  buildFreshness,
  buildRevision,
  buildTrust,
  createTestKey,
  testMesh,
} from "../../support/records.js";
import { runs } from "../../support/runs.js";

const key = createTestKey();
const keys = new Map([[key.signer.kid, publicKeyFromBytes(key.publicKey)]]);
const revision = records.signRevision(buildRevision(undefined), testMesh, key.signer);
const activation = records.signActivation(buildActivation(undefined, revision), testMesh, key.signer);
const trust = records.signTrust(buildTrust([key]), testMesh, key.signer);
const freshness = records.signFreshness(buildFreshness(3), testMesh, key.signer);
const order = signPrepareOrder(
  { revision: { number: 3, digest: revision.digest }, issuedMs: 1_700_000_000_000, expiresMs: 1_700_000_015_000 },
  testMesh,
  key.signer,
);

const kinds = [
  ["revision", revision, records.verifyRevision, "ashlar-revision"],
  ["activation", activation, records.verifyActivation, "ashlar-activation"],
  ["trust", trust, records.verifyTrust, "ashlar-trust"],
  ["freshness", freshness, records.verifyFreshness, "ashlar-freshness"],
  ["prepare order", order, verifyPrepareOrder, "ashlar-prepare"],
] as const;

function codeOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    return isAshlarError(error) ? error.code : "not an AshlarError";
  }
  return "accepted";
}

/** The payload of `signed` with `extra` bytes behind it, signed anew. */
function resign(type: RecordType, bytes: Uint8Array, extra: Uint8Array): Uint8Array {
  const payload = Buffer.from(Buffer.from(bytes).toString().split(".")[1] ?? "", "base64url");
  return signRecord(type, testMesh, Buffer.concat([payload, extra]), key.signer);
}

for (const [name, signed, verify, type] of kinds) {
  describe(`a ${name} record`, () => {
    test("comes back as it was signed, with the digest of its bytes", () => {
      const read = verify(signed.bytes, testMesh, keys);
      expect(read).toEqual(signed);
      expect(read.digest).toBe(digestOf(signed.bytes));
      expect(read.kid).toBe(key.signer.kid);
    });
    test("I3: one flipped bit anywhere is refused", () => {
      fc.assert(
        fc.property(fc.nat(signed.bytes.length * 8 - 1), (bit) => {
          const bytes = signed.bytes.slice();
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          expect(["invalid_record", "unauthenticated"]).toContain(codeOf(() => verify(bytes, testMesh, keys)));
        }),
        { numRuns: runs(400) },
      );
    });
    test("I3: it does not pass for a record of another kind or mesh, nor under another key", () => {
      for (const [otherName, , otherVerify] of kinds) {
        if (otherName !== name) expect(codeOf(() => otherVerify(signed.bytes, testMesh, keys))).toBe("invalid_record");
      }
      expect(codeOf(() => verify(signed.bytes, "other.mesh", keys))).toBe("invalid_record");
      const stranger = createTestKey();
      const strangers = new Map([[stranger.signer.kid, publicKeyFromBytes(stranger.publicKey)]]);
      expect(codeOf(() => verify(signed.bytes, testMesh, strangers))).toBe("unauthenticated");
      const swapped = new Map([[key.signer.kid, publicKeyFromBytes(stranger.publicKey)]]);
      expect(codeOf(() => verify(signed.bytes, testMesh, swapped))).toBe("invalid_record");
    });
    test("I6: an unknown field is refused although the signature holds", () => {
      const bytes = resign(type, signed.bytes, new Uint8Array([0xf8, 0x07, 0x01])); // field 127, varint 1
      expect(codeOf(() => verify(bytes, testMesh, keys))).toBe("invalid_record");
      expect(() => verify(bytes, testMesh, keys)).toThrow(/unknown field 127/);
    });
    test("a JOSE library verifies it", async () => {
      const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(key.publicKey).toString("base64url") };
      const text = Buffer.from(signed.bytes).toString();
      const verified = await compactVerify(text, await importJWK(jwk, "EdDSA"));
      expect(verified.protectedHeader).toEqual({
        alg: "EdDSA",
        typ: type,
        mesh: testMesh,
        kid: keyIdOf(key.publicKey),
      });
    });
  });
}

describe("what a reader would refuse is never signed", () => {
  const base = buildRevision(undefined);
  const unit = base.changes[0];
  for (const [name, bad] of [
    ["a message above 4 KiB", { message: "x".repeat(4097) }],
    ["number 0", { number: 0 }],
    ["a fraction of a number", { number: 1.5 }],
    [
      "changes that are not sorted",
      {
        changes: [
          { name: "b", digest: undefined },
          { name: "a", digest: undefined },
        ],
      },
    ],
    ["a change twice", { changes: [unit, unit] }],
    ["a unit with a strange name", { changes: [{ name: "../x", digest: undefined }] }],
    ["an author who is nobody", { author: "alice" }],
  ] as const) {
    test(`refused: ${name}`, () => {
      expect(() => records.signRevision({ ...base, ...bad } as Revision, testMesh, key.signer)).toThrow();
    });
  }
  test("links are there from the second record on, and not before", () => {
    const first = buildActivation(undefined, revision);
    const sign = (body: typeof first) => codeOf(() => records.signActivation(body, testMesh, key.signer));
    expect(sign({ ...first, previous: revision.digest })).toBe("invalid_record");
    expect(sign({ ...first, epoch: 2 })).toBe("invalid_record");
    expect(sign({ ...first, thresholdPercent: 101 })).toBe("invalid_record");
    expect(codeOf(() => records.signFreshness({ ...buildFreshness(0), epoch: 1 }, testMesh, key.signer))).not.toBe(
      "accepted",
    );
  });
  test("a trust record whose kid is not its key's thumbprint is refused", () => {
    const body = buildTrust([key]);
    const wrong = { ...body, signingKeys: body.signingKeys.map((item) => ({ ...item, kid: "A".repeat(43) })) };
    expect(codeOf(() => records.signTrust(wrong, testMesh, key.signer))).toBe("invalid_record");
  });
  test("an order to prepare that would be valid for longer than a minute, or ends before it begins, is refused", () => {
    const sign = (validMs: number) =>
      codeOf(() => signPrepareOrder({ ...order.body, expiresMs: order.body.issuedMs + validMs }, testMesh, key.signer));
    expect([0, orderValidMsMax, orderValidMsMax + 1, -1].map(sign)).toEqual([
      "accepted",
      "accepted",
      "invalid_record",
      "invalid_record",
    ]);
  });
  test("a digest of 31 bytes and a number past 2^53 are refused", () => {
    const message = { ...Activation.create({}), epoch: 1, revisionNumber: 1, author: "spiffe://test.mesh/operator/a" };
    const short = Activation.encode({ ...message, revisionDigest: Buffer.alloc(31) }).finish();
    const signed = signRecord("ashlar-activation", testMesh, short, key.signer);
    expect(codeOf(() => records.verifyActivation(signed, testMesh, keys))).toBe("invalid_record");
    const huge = Buffer.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    const bytes = signRecord("ashlar-revision", testMesh, huge, key.signer);
    expect(codeOf(() => records.verifyRevision(bytes, testMesh, keys))).toBe("invalid_record");
  });
});

describe("a revision fits one NATS message", () => {
  const changes = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      name: `service-${String(i).padStart(40, "0")}`,
      digest: digestOf(Buffer.from(String(i))),
    }));
  test("a change list of moderate size is carried", () => {
    const signed = records.signRevision({ ...buildRevision(undefined), changes: changes(5000) }, testMesh, key.signer);
    expect(signed.body.changes).toHaveLength(5000);
    expect(signed.bytes.length).toBeLessThan(signedBytesMax);
  });
  test("a larger one is left out, and the record verifies", () => {
    const signed = records.signRevision(
      { ...buildRevision(undefined), changes: changes(20_000) },
      testMesh,
      key.signer,
    );
    expect(signed.body.changes).toEqual([]);
    expect(records.verifyRevision(signed.bytes, testMesh, keys)).toEqual(signed);
    expect(signed.bytes.length).toBeLessThan(10_000);
  });
  test("encoding is deterministic", () => {
    const one = records.signRevision(buildRevision(undefined), testMesh, key.signer);
    expect(one.digest).toBe(revision.digest);
  });
});

test("the key set of a trust record verifies what its keys signed", () => {
  expect(records.verifyRevision(revision.bytes, testMesh, records.keySetOf(trust.body)).digest).toBe(revision.digest);
  expect(records.verifyTrust(trust.bytes, testMesh, records.rootKeySet(key.publicKey)).digest).toBe(trust.digest);
});
