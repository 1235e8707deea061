import { describe, expect, test } from "@jest/globals";
import { isAshlarError } from "../../core/errors.js";
import type { SigningKey } from "../../core/model.js";
import { keyIdOf } from "../../core/signature.js";
import { delegateSigning, mayTrust } from "../../core/trust.js";
import { rootKeySet, signTrust, verifyTrust } from "../../core/wire/records.js";
import { buildTrust, createTestKey, testMesh } from "../support/records.js";

const root = createTestKey();
const first = createTestKey();
const head = signTrust(buildTrust([first]), testMesh, root.signer);
const keyOf = (holder: string): SigningKey => {
  const { publicKey } = createTestKey();
  return { kid: keyIdOf(publicKey), publicKey, holder };
};

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return isAshlarError(error) ? error.code : String(error);
  }
}

describe("a further control plane's key is delegated in the trust log", () => {
  const key = keyOf("second");

  test("the record follows the head, keeps everything else, and verifies under the root alone", () => {
    const next = delegateSigning(head, key, 7);
    if (next === undefined) throw new Error("no record");
    expect(mayTrust(head, next)).toBe(true);
    expect(next.timeMs).toBe(7);
    expect(next.bundles).toEqual(head.body.bundles);
    expect(new Set(next.signingKeys)).toEqual(new Set([...head.body.signingKeys, key]));
    const signed = signTrust(next, testMesh, root.signer);
    expect(verifyTrust(signed.bytes, testMesh, rootKeySet(root.publicKey)).body).toEqual(next);
    expect(codeOf(() => verifyTrust(signed.bytes, testMesh, rootKeySet(key.publicKey)))).toBe("unauthenticated");
  });

  test("done again it changes nothing; another key of the same name, or the key under another name, is refused", () => {
    const next = delegateSigning(head, key, 7);
    const signed = signTrust(next ?? head.body, testMesh, root.signer);
    expect(delegateSigning(signed, key, 8)).toBeUndefined();
    expect(codeOf(() => delegateSigning(signed, keyOf("second"), 8))).toBe("exists");
    expect(codeOf(() => delegateSigning(signed, { ...key, holder: "third" }, 8))).toBe("exists");
    expect(delegateSigning(signed, keyOf("third"), 8)?.signingKeys).toHaveLength(3);
  });
});
