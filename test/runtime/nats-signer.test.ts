import { expect, test } from "@jest/globals";
import { createAccount, createOperator, createUser, fromPublic, fromSeed } from "@nats-io/nkeys";
import { openPair, signerOf } from "../../runtime/nats-signer.js";

test("signs what the package of nkeys signs, byte for byte, for any account, operator and user", () => {
  for (const make of [createAccount, createAccount, createAccount, createOperator, createUser, createUser]) {
    const seed = Buffer.from(make().getSeed()).toString("ascii");
    const [theirs, ours] = [fromSeed(Buffer.from(seed)), openPair(seed)];
    const bytes = Buffer.from(`signed by ${theirs.getPublicKey()}`);
    expect(ours.getPublicKey()).toBe(theirs.getPublicKey());
    expect(Buffer.from(ours.sign(bytes)).toString("hex")).toBe(Buffer.from(theirs.sign(bytes)).toString("hex"));
    expect(fromPublic(ours.getPublicKey()).verify(bytes, ours.sign(bytes))).toBe(true);
    expect(ours.verify(bytes, ours.sign(bytes))).toBe(true);
    expect(Buffer.from(ours.getPrivateKey()).toString()).toBe(Buffer.from(theirs.getPrivateKey()).toString());
  }
});

test("a pair is made once, and nine seeds push the first out", () => {
  const seeds = Array.from({ length: 9 }, () => Buffer.from(createAccount().getSeed()).toString("ascii"));
  const [first, ...others] = seeds.map(signerOf);
  expect(signerOf(seeds[8] ?? "")).toBe(others.at(-1));
  expect(signerOf(seeds[0] ?? "")).not.toBe(first);
});

test("a damaged seed is refused", () => {
  const seed = Buffer.from(createAccount().getSeed()).toString("ascii");
  expect(() => signerOf(`${seed.slice(0, 20)}${seed[20] === "A" ? "B" : "A"}${seed.slice(21)}`)).toThrow();
  expect(() => signerOf("SA")).toThrow();
});
