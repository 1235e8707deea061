import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { auditRootHash, auditTrust, chainOf, signHead } from "../support/audit-chain.js";
import { type FakeAdmin, startFakeAdmin } from "./fake-admin.js";

const entries = chainOf(["a", "b", "c", "d", "e", "f", "g"]);
const { mesh } = auditTrust;
const [rootPublicKey, trust] = [Buffer.from(auditTrust.rootPublicKey), auditTrust.trust.map((one) => Buffer.from(one))];

/** Three entries a page, as a control plane gives them. */
const pagesOf = (all: readonly Uint8Array[]) => (request: { position: number }) => {
  const page = all.slice(request.position, request.position + 3).map((one) => Buffer.from(one));
  const complete = request.position + 3 >= all.length;
  const end = complete ? { complete, head: Buffer.from(signHead(entries)), trust } : {};
  return { entries: page, position: request.position + page.length, mesh, rootPublicKey, ...end };
};

let admin: FakeAdmin;
let pinned: string;
beforeAll(async () => {
  admin = await startFakeAdmin();
  pinned = admin.context("pinned.json", { rootHash: auditRootHash });
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = { exportAudit: pagesOf(entries) };
  admin.requests.length = 0;
});

test("the live log is verified from its first entry on, by whoever asks", async () => {
  const done = await admin.run("--context", pinned, "audit", "verify", "-o", "json");
  expect([done.code, done.error]).toEqual([0, ""]);
  expect(JSON.parse(done.out)).toMatchObject({
    chainHolds: true,
    entries: 8,
    first: 1,
    last: 8,
    heads: 2,
    signedUntil: 8,
  });
  admin.answers = { exportAudit: pagesOf(entries.filter((_, index) => index !== 3)) };
  const broken = await admin.run("--context", pinned, "audit", "verify");
  expect(broken.code).toBe(1);
  expect(broken.out).toContain("entry 4 is missing");
});

test("an export is verified without anybody, and a changed one is not", async () => {
  const file = join(admin.folder, "audit.jsonl");
  const exported = await admin.run("--context", pinned, "audit", "export", "-o", file);
  expect([exported.error, exported.out]).toEqual(["", `8 entries in ${file}.\n`]);
  admin.requests.length = 0;
  const done = await admin.run("audit", "verify", file, "--root-hash", auditRootHash);
  expect(done.code).toBe(0);
  expect(done.out).toContain("8 entries (1 to 8): the chain holds.\nSigned up to entry 8 at ");
  writeFileSync(file, readFileSync(file, "utf8").replace('"detail":"c"', '"detail":"x"'));
  const changed = await admin.run("--context", pinned, "audit", "verify", file);
  expect(changed.code).toBe(1);
  expect(changed.out).toContain("line 4 was changed");
  expect(changed.error).toBe("ashlar: the audit log does not hold\n");
  expect(admin.requests).toEqual([]);
});

test("whose signatures count is said beforehand", async () => {
  const done = await admin.run("audit", "verify");
  expect(done.code).toBe(2);
  expect(done.error).toContain("give --root-hash");
  const other = await admin.run("audit", "verify", "--root-hash", "0".repeat(64));
  expect(other.code).toBe(1);
  expect(other.error).toContain("root hash");
  expect((await admin.run("--context", pinned, "audit", "verify", join(admin.folder, "none"))).code).toBe(2);
  const empty = join(admin.folder, "empty.jsonl");
  writeFileSync(empty, "");
  const nothing = await admin.run("--context", pinned, "audit", "verify", empty);
  expect([nothing.code, nothing.error]).toEqual([1, `ashlar: ${empty}: the file is empty\n`]);
});
