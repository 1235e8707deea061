/** `ashlar journal holder`: what files it takes, and what it prints. */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { testHolder } from "../support/holder.js";
import { type FakeAdmin, startFakeAdmin } from "./fake-admin.js";

const { publicKey } = testHolder;
const pem = createPublicKey(testHolder.key).export({ format: "pem", type: "spki" }).toString();
const holder = { publicKey, fingerprint: "ab".repeat(32), sinceMs: 1_700_000_000_000 };
let admin: FakeAdmin;

beforeAll(async () => {
  admin = await startFakeAdmin();
});

beforeEach(() => {
  admin.answers = { setJournalHolder: { holder, created: true }, getJournalHolder: { holder } };
});

afterAll(() => admin.stop());

function fileOf(content: string): string {
  const path = join(admin.folder, "holder.pem");
  writeFileSync(path, content);
  return path;
}

test.each([
  ["a PEM file", pem],
  ["a line of base64", `${publicKey}\n`],
])("set takes %s, and prints what is set", async (_what, content) => {
  const { code, out } = await admin.run("journal", "holder", "set", fileOf(content), "-o", "json");
  expect([code, JSON.parse(out)]).toEqual([
    0,
    { created: true, publicKey, fingerprint: holder.fingerprint, since: "2023-11-14T22:13:20.000Z" },
  ]);
});

test.each([
  ["a private key", testHolder.pem, "is a private key, which stays with the holder"],
  [
    "a key for signatures",
    generateKeyPairSync("ed25519").publicKey.export({ format: "pem", type: "spki" }),
    "is no public key of X25519",
  ],
  ["no key", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", "is no public key of X25519"],
])("set refuses %s, and asks nobody", async (_what, content, why) => {
  admin.answers = {};
  const { code, error } = await admin.run("journal", "holder", "set", fileOf(String(content)));
  expect([code, error]).toEqual([2, expect.stringContaining(why)]);
});

test("without a verb it shows the holder, or says that there is none", async () => {
  expect(JSON.parse((await admin.run("journal", "holder", "-o", "json")).out)).toMatchObject({ publicKey });
  expect((await admin.run("journal", "holder")).out).toContain(holder.fingerprint);
  admin.answers = { getJournalHolder: {} };
  expect((await admin.run("journal", "holder")).out).toContain("The mesh has no holder of private fields.");
  expect((await admin.run("journal", "holder", "-o", "json")).out).toBe("null\n");
});
