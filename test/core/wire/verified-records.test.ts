/** One verification of a record serves every proxy of a process, and nobody who does not trust its key (I3). */
import { describe, expect, test } from "@jest/globals";
import type { Revision, Signed } from "../../../core/model.js";
import { type KeySet, publicKeyFromBytes } from "../../../core/signature.js";
import { signActivation, signRevision, verifyActivation, verifyRevision } from "../../../core/wire/records.js";
import { VerifiedRecords } from "../../../core/wire/verified-records.js";
import { buildActivation, buildRevision, createTestKey, testMesh } from "../../support/records.js";

const key = createTestKey();
const other = createTestKey();
/** A set of its own, as each proxy makes one from the trust record. */
const keysOf = ({ publicKey }: typeof key, kid = key.signer.kid): KeySet =>
  new Map([[kid, publicKeyFromBytes(publicKey)]]);
const revision = signRevision(buildRevision(undefined), testMesh, key.signer);
const activation = signActivation(buildActivation(undefined, revision), testMesh, key.signer);

describe("a record that was verified", () => {
  test("is the same record for whoever has the same key", () => {
    const first = verifyActivation(activation.bytes, testMesh, keysOf(key));
    expect(verifyActivation(activation.bytes.slice(), testMesh, keysOf(key))).toBe(first);
  });

  test("is refused by whoever trusts no key of its id, or another key under that id", () => {
    verifyActivation(activation.bytes, testMesh, keysOf(key));
    expect(() => verifyActivation(activation.bytes, testMesh, new Map())).toThrow("a key that is not trusted");
    expect(() => verifyActivation(activation.bytes, testMesh, keysOf(other))).toThrow("bad_signature");
  });

  test("is refused by another mesh, as another type, and with a letter of its signature changed", () => {
    verifyActivation(activation.bytes, testMesh, keysOf(key));
    expect(() => verifyActivation(activation.bytes, "other.mesh", keysOf(key))).toThrow("belongs to mesh");
    expect(() => verifyRevision(activation.bytes, testMesh, keysOf(key))).toThrow("it says it is");
    const changed = activation.bytes.slice();
    const inSignature = changed.lastIndexOf(0x2e) + 5;
    changed[inSignature] = changed[inSignature] === 0x41 ? 0x42 : 0x41;
    expect(() => verifyActivation(changed, testMesh, keysOf(key))).toThrow("bad_signature");
  });

  test("that another record named is not remembered as one whose signature held", () => {
    const named = signRevision({ ...buildRevision(undefined), message: "named" }, testMesh, key.signer);
    verifyRevision(named.bytes, testMesh, new Map(), () => true);
    expect(() => verifyRevision(named.bytes, testMesh, keysOf(other))).toThrow("bad_signature");
  });
});

describe("what is remembered", () => {
  const as = { codec: {}, mesh: testMesh };
  const held = publicKeyFromBytes(key.publicKey);
  const record = (name: string, bytes = 1): Signed<Revision> =>
    ({ bytes: new Uint8Array(bytes), digest: name, kid: key.signer.kid }) as unknown as Signed<Revision>;

  test("is the newest 32, none of them above 32 KiB", () => {
    const records = new VerifiedRecords();
    const all = Array.from({ length: 33 }, (_, index) => record(`record ${index}`));
    const large = record("large", 32 * 1024 + 1);
    for (const one of [...all, large]) records.add(one, as, held);
    const found = [...all, large].filter(({ digest }) => records.find(digest, as, keysOf(key)) !== undefined);
    expect(found).toEqual(all.slice(1));
  });
});
