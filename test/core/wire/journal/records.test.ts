import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "@jest/globals";
import { digestOf } from "../../../../core/digest.js";
import { parseSpiffeId } from "../../../../core/identity.js";
import { entryMessageId, journalKey, keyIdOf } from "../../../../core/journal/journal-key.js";
import { createSigner } from "../../../../core/signature.js";
import { encodeEntry, type JournalEntry, parseEntry } from "../../../../core/wire/journal/entry.js";
import { encodeOutcome, type JournalOutcome, parseOutcome } from "../../../../core/wire/journal/outcome.js";
import { type JournalResolution, signResolution, verifyResolution } from "../../../../core/wire/journal/resolution.js";
import { chainWith, type JournalSeal, linkOf, signSeal, verifySeal } from "../../../../core/wire/journal/seal.js";
import { journalSealSubject, journalSubject, parseJournalSubject } from "../../../../core/wire/subjects.js";

const writer = { service: "ledger", proxyId: "p1" };
const digest = digestOf(Buffer.from("an entry"));
const outcome: JournalOutcome = {
  ...writer,
  timeMs: 5,
  entry: 7,
  entryDigest: digest,
  code: 0,
  head: [{ name: "content-type", value: Buffer.from("application/grpc") }],
  trailers: [],
  response: Buffer.from("response"),
  responseDigest: digestOf(Buffer.from("response")),
  responseBytes: 8,
  confirms: [{ sequence: 7, digest }],
  notForwarded: false,
  behind: 0,
};
const entry: JournalEntry = {
  ...writer,
  life: "ab".repeat(16),
  nonce: Buffer.alloc(16, 3),
  timeMs: 1000,
  caller: parseSpiffeId("spiffe://mesh.test/service/shop"),
  user: "accounts ann",
  method: "bank.Ledger/Transfer",
  revision: 3,
  epoch: 4,
  decision: "01".repeat(12),
  key: "k-1",
  order: "account 7",
  expected: 5,
  afterVoid: 0,
  deadlineMs: 2000,
  traceId: "1".repeat(32),
  fields: [{ name: "x-account", value: Buffer.from("7") }],
  request: Buffer.from("request"),
  confirms: [],
  outcome: undefined,
};
const signer = createSigner(generateKeyPairSync("ed25519").privateKey);
const keys = new Map([[signer.kid, generateKeyPairSync("ed25519").publicKey]]);

test("an entry is read as it was written, by its writer and under its key only", () => {
  const bytes = encodeEntry(entry);
  const key = journalKey(entry);
  expect(encodeEntry(parseEntry(bytes, writer, key))).toEqual(bytes);
  expect(parseEntry(bytes, writer, key)).toMatchObject({ order: "account 7", expected: 5, user: "accounts ann" });
  expect(() => parseEntry(bytes, { ...writer, proxyId: "p2" }, key)).toThrow(/not that of the proxy/);
  expect(() => parseEntry(bytes, writer, "u")).toThrow(/another key/);
});

test("an entry of mode after holds its outcome", () => {
  const after = { ...entry, outcome: { ...outcome, entry: 0, entryDigest: undefined } };
  expect(parseEntry(encodeEntry(after), writer, journalKey(after)).outcome).toMatchObject({ code: 0, entry: 0 });
});

test("an outcome names its entry, and its response is as long as it says", () => {
  expect(parseOutcome(encodeOutcome(outcome), writer)).toMatchObject({ entry: 7, code: 0, responseBytes: 8 });
  expect(() => parseOutcome(encodeOutcome({ ...outcome, entry: 0 }), writer)).toThrow(/names no entry/);
  expect(() => parseOutcome(encodeOutcome({ ...outcome, responseBytes: 9 }), writer)).toThrow(/as long/);
});

test("resolutions and seals are refused under another key, mesh or type", () => {
  const resolution: JournalResolution = {
    service: "ledger",
    entry: 7,
    entryDigest: digest,
    outcome: "not-applied",
    code: 10,
    message: "never arrived",
    operator: "spiffe://mesh.test/operator/ann",
    reason: "checked the ledger",
    timeMs: 9,
  };
  const { bytes } = signResolution(resolution, "mesh.test", signer);
  expect(() => verifyResolution(bytes, "mesh.test", keys)).toThrow(/does not hold/);
  expect(() => verifyResolution(bytes, "other.test", keys)).toThrow(/belongs to mesh/);
  expect(() => verifySeal(bytes, "mesh.test", keys)).toThrow(/it says it is/);
  const chain = chainWith(undefined, linkOf({ sequence: 1, subject: "s", statement: "", data: Buffer.from("d") }));
  const seal: JournalSeal = {
    ...{ service: "ledger", number: 2, previous: digest, from: 1, through: 1, chain, messages: 1, timeMs: 1 },
  };
  expect(signSeal(seal, "mesh.test", signer).body).toEqual(seal);
  expect(() => signSeal({ ...seal, previous: undefined }, "mesh.test", signer)).toThrow(/previous/);
});

test("a subject says service, kind and key", () => {
  for (const kind of ["entry", "outcome", "resolution"] as const)
    expect(parseJournalSubject(journalSubject("ledger", kind, "u"))).toEqual({ service: "ledger", kind, key: "u" });
  expect(parseJournalSubject(journalSealSubject("ledger"))).toEqual({ service: "ledger", kind: "seal", key: "" });
  for (const none of ["ashlar.journal.ledger.entry", "ashlar.journal.ledger.seal.u", "ashlar.journal.ledger.other.u"])
    expect(parseJournalSubject(none)).toBeUndefined();
});

test("keys are of their caller, user and method, and no two lists of texts are one key", () => {
  const scope = { caller: "a", user: "b", method: "c", key: "d" };
  const ids = [scope, { ...scope, caller: "ab", user: "" }, { ...scope, user: "" }, { ...scope, method: "x" }].map(
    keyIdOf,
  );
  expect(new Set(ids).size).toBe(4);
  expect(journalKey({ ...scope, service: "s", order: "" })).toBe(`k${keyIdOf(scope).slice(0, 3)}`);
  expect(journalKey({ ...scope, service: "s", order: "o" })).toBe(
    journalKey({ ...scope, key: "", service: "s", order: "o" }),
  );
  expect(entryMessageId("id", 0)).not.toBe(entryMessageId("id", 7));
});
