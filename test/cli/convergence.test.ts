import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { ProxyConvergence } from "../../proto/gen/ashlar/v1/admin.js";
import { digestOf, type FakeAdmin, proxyInfo, startFakeAdmin, statusInfo } from "./fake-admin.js";

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = { getStatus: statusInfo(), listProxies: { proxies: [proxyInfo("p-1"), proxyInfo("p-2")] } };
});

const line = (fields: Partial<ProxyConvergence>): ProxyConvergence => ProxyConvergence.fromPartial(fields);
const json = (out: string): unknown => JSON.parse(out);

test("wait names proxies that nobody hears of, and waits for them too with --all", async () => {
  const silent = { id: "p-9", state: "silent", reason: "last heard of 30 s ago", live: false };
  admin.answers.getConvergence = { proxies: [silent, { id: "p-1", state: "converged", live: true }].map(line) };
  const done = await admin.run("wait", "-o", "json");
  expect(done.code).toBe(0);
  expect(json(done.out)).toMatchObject({ reached: true, converged: false, notHeard: ["p-9"] });
  const late = await admin.run("wait", "--all", "--timeout", "30ms");
  expect(late.code).toBe(1);
  expect(late.error).toContain("p-9 (last heard of 30 s ago)");
});

test("blame names who is behind and why; proxies -o json has the same ledger", async () => {
  const about = { id: "p-2", service: "payments", version: "v1", state: "rejected", reason: "unknown field 9" };
  const ledger = { desiredEpoch: 4, desiredRevision: 3, desiredDigest: digestOf("3"), receivedEpoch: 4 };
  const evaluating = { evaluatingEpoch: 3, evaluatingRevision: 2, evaluatingDigest: digestOf("2"), live: true };
  const proxies = [line({ ...about, ...ledger, ...evaluating, receivedActivation: digestOf("c"), lagMs: 7 })];
  admin.answers.getConvergence = { revision: 3, epoch: 4, proxies };
  const done = await admin.run("blame", "3");
  expect(done.code).toBe(0);
  expect(done.out).toMatch(
    /p-2 +payments +v1 +rejected .*unknown field 9\n\n1 of 1 proxy behind with revision 3, epoch 4/,
  );
  const wanted = {
    desired: { epoch: 4, revision: 3, digest: digestOf("3") },
    received: { epoch: 4, activation: digestOf("c") },
    evaluating: { epoch: 3, revision: 2, digest: digestOf("2") },
  };
  expect(json((await admin.run("blame", "-o", "json")).out)).toMatchObject({ converged: false, proxies: [wanted] });
  const [, second] = json((await admin.run("proxies", "-o", "json")).out) as object[];
  expect(second).toMatchObject({ id: "p-2", state: "rejected", ...wanted });
});
