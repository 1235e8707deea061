import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "@jest/globals";
import {
  holderKeyPattern,
  keyedDigest,
  openPart,
  readHolderKey,
  sealPart,
  unwrapKey,
  wrapKey,
} from "../../../../core/journal/private/keys.js";

const filled = (byte: number, length: number): Uint8Array => new Uint8Array(length).fill(byte);
const privateDer = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), filled(7, 32)]);
const holder = createPrivateKey({ key: privateDer, format: "der", type: "pkcs8" });
const holderPublic = createPublicKey(holder).export({ format: "der", type: "spki" }).toString("base64");
const place = { service: "ledger", keyId: "0123456789abcdef0123456789abcdef" };
const part = { ...place, part: "request", nonce: filled(3, 16) } as const;
const dataKey = filled(1, 32);
const text = Buffer.from("ada@example.com");
const refused = /it was encrypted under another key, or changed/;

test("these bytes are what is stored: whoever changes them makes stored keys and parts unreadable", () => {
  const wrapped = wrapKey(dataKey, holderPublic, place, filled(2, 32));
  const sealed = sealPart(text, dataKey, part, filled(4, 12));
  expect({
    holderPublic,
    wrapped: Buffer.from(wrapped).toString("hex"),
    sealed: Buffer.from(sealed).toString("hex"),
    digest: Buffer.from(keyedDigest(filled(5, 32), "request", text)).toString("hex"),
  }).toMatchInlineSnapshot(`
{
  "digest": "720a6f969cf153d6391516b3d0b65daf064433bd1d9aeb13d5aa32ee41460a2a",
  "holderPublic": "MCowBQYDK2VuAyEAE75P6uryBMf9M1j8nAByGIHRdCeBKCJ+xnTzf3/pe20=",
  "sealed": "0404040404040404040404048ec53a00fcc0da24d720fb92f33ac15b6e0f38245157a04b4fc48c69a8a62f",
  "wrapped": "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d596970ca7a43b0dc98bdda817b0435cbc5c0709c63902155d32178ea33a602389644493df78b7145cd2f3123fd958ec2f9",
}
`);
  assert.deepEqual(Buffer.from(unwrapKey(wrapped, holder, place)), Buffer.from(dataKey));
  assert.deepEqual(Buffer.from(openPart(sealed, dataKey, part)), text);
});

test("a wrapped key is its holder's, of its service and id, and whole", () => {
  assert.match(holderPublic, new RegExp(holderKeyPattern));
  const wrapped = wrapKey(dataKey, holderPublic, place, filled(2, 32));
  const other = generateKeyPairSync("x25519").privateKey;
  assert.throws(() => unwrapKey(wrapped, other, place), refused);
  assert.throws(() => unwrapKey(wrapped, holder, { ...place, service: "orders" }), refused);
  assert.throws(() => unwrapKey(wrapped, holder, { ...place, keyId: "f".repeat(32) }), refused);
  assert.throws(() => unwrapKey(wrapped.subarray(1), holder, place), /not as long as one is/);
  for (let at = 0; at < wrapped.length; at += 1) {
    const changed = Buffer.from(wrapped);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => unwrapKey(changed, holder, place), refused);
  }
});

test("a part is read under its key, in its entry and place, and whole", () => {
  const sealed = sealPart(text, dataKey, part, filled(4, 12));
  for (const other of [
    { ...part, part: "response" as const },
    { ...part, nonce: filled(9, 16) },
    { ...part, service: "orders" },
  ])
    assert.throws(() => openPart(sealed, dataKey, other), refused);
  assert.throws(() => openPart(sealed, filled(8, 32), part), refused);
  assert.throws(() => openPart(sealed.subarray(0, 20), dataKey, part), /too short/);
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => openPart(changed, dataKey, part), refused);
  }
});

test("a holder's key is one of X25519", () => {
  const pem = holder.export({ format: "pem", type: "pkcs8" }).toString();
  assert.equal(readHolderKey(pem).asymmetricKeyType, "x25519");
  const ed25519 = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  for (const wrong of ["", "no key", ed25519]) assert.throws(() => readHolderKey(wrong), /not a private key of X25519/);
  assert.throws(() => wrapKey(dataKey, "AAAA", place, filled(2, 32)), /no public key of X25519/);
  assert.throws(() => wrapKey(dataKey, `MCowBQYDK2VuAyEA${"A".repeat(43)}=`, place, filled(2, 32)), /no public key/);
});
