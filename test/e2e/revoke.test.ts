/** A proxy whose identity is revoked is out: its connections, its next calls, its renewals and its restarts. */
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let front: TestProxy;
let other: TestProxy;
let client: EchoClient;
let bystander: EchoClient;

interface Entry {
  readonly action: string;
  readonly actor: string;
  readonly target: string;
  readonly outcome: string;
  readonly detail: string;
}
const idOf = async (proxy: TestProxy): Promise<string> => {
  const proxies: { id: string; service: string; version: string }[] = await mesh.json(0, "proxies");
  return proxies.find(({ version }) => version === proxy.name)?.id ?? "";
};
const entries = async (action: string): Promise<Entry[]> => {
  const all: Entry[] = await mesh.json(0, "audit");
  return all.filter((entry) => entry.action === action);
};

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [echo, ...callers] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "stolen", service: "front", version: "stolen" }),
    mesh.proxy({ name: "other", service: "front", version: "other" }),
  ]);
  [front, other] = callers;
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
  bystander = new EchoClient(other.outbound, "echo");
  for (const one of [client, bystander])
    await until("it calls echo", async () => (await one.unary({ text: "?" })).code === status.OK);
}, 90_000);

afterAll(async () => {
  client?.close();
  bystander?.close();
  await mesh?.stop();
}, 60_000);

test("I10: its open calls end within 5 s of the revocation and further ones are refused; others go on", async () => {
  const ended = new Promise<number>((resolve) => {
    const stream = client.bidi();
    stream.on("data", () => {});
    stream.on("error", () => {});
    stream.on("status", ({ code }: { code: number }) => resolve(code));
    stream.write({ text: "open" });
  });
  const beside = bystander.bidi();
  let besideEnded = false;
  beside.on("data", () => {});
  beside.on("error", () => {});
  beside.on("status", () => (besideEnded = true));
  beside.write({ text: "open" });
  const id = await idOf(front);
  const revoked = await mesh.json(0, "revoke", id, "-m", "stolen");
  expect(revoked).toMatchObject({
    id,
    created: true,
    trustSequence: 2,
    serials: [expect.stringMatching(/^[0-9a-f]+$/)],
  });
  const began = performance.now();
  expect(await ended).not.toBe(status.OK);
  expect(performance.now() - began).toBeLessThan(5000);
  expect((await client.unary({ text: "?" })).code).not.toBe(status.OK);
  expect((await bystander.unary({ text: "?" })).code).toBe(status.OK);
  expect(besideEnded).toBe(false);
  beside.end();
  expect(await mesh.json(0, "revoke", id)).toMatchObject({ created: false, trustSequence: 2 });
  expect(await mesh.json(0, "revoke", revoked.serials[0])).toMatchObject({ created: false });
});

test("what is revoked, by whom and why, is in the audit log, and so are logins with their certificates, once an hour", async () => {
  const id = await idOf(front);
  const [revoked] = await entries("revoke");
  expect(revoked).toMatchObject({ actor: "spiffe://test/operator/admin", target: id, outcome: "ok" });
  expect(revoked?.detail).toMatch(/^trust 2, certificates [0-9a-f]+: stolen$/);
  const logins = await entries("login");
  expect(logins).toHaveLength(1);
  expect(logins[0]?.detail).toMatch(/^certificate [0-9a-f]+$/);
  const own = logins[0]?.detail.replace("certificate ", "") ?? "";
  const refused = await mesh.cli("revoke", own);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/the certificate that you ask with/)]);
  const unknown = await mesh.cli("revoke", "nobody");
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/no proxy "nobody" has a certificate/)]);
  expect((await mesh.cli("audit", "verify")).code).toBe(0);
});

test("operators and the proxy itself say that it is revoked and why, nobody waits for it, and a restart refuses", async () => {
  const id = await idOf(front);
  const proxies: { id: string; live: boolean; serving: boolean; revoked?: { reason: string } }[] = await mesh.json(
    0,
    "proxies",
  );
  const entry = proxies.find((one) => one.id === id);
  expect(entry).toMatchObject({ live: false, serving: false, revoked: { reason: "stolen" } });
  const status = await mesh.json(0, "status");
  expect(status.proxies).toMatchObject({ total: 2, behind: 0 });
  expect(status.revoked).toEqual([expect.objectContaining({ id, service: "front", reason: "stolen" })]);
  expect((await mesh.cli("proxies")).stdout).toMatch(/no: revoked \(stolen\)/);
  expect(await mesh.apply(`${frontMayCall}\n---\nkind: Service\nname: another\n`)).toMatchObject({ created: true });
  await until("its log says so", () => /certificate [0-9a-f]+ was revoked at .*\(stolen\)/.test(front.process.stderr));
  await front.process.stop();
  const again = front.start();
  expect(await again.exited).toBe(1);
  expect(again.stdout).not.toContain("ready");
  expect(again.stderr).toMatch(/was revoked at .*new join token and an empty --data folder/);
}, 60_000);

test("started again it does not get in, with its old certificate or with its token", async () => {
  front.start();
  await until("it calls and is refused", async () => {
    const { code } = await client.unary({ text: "?" });
    expect(code).not.toBe(status.OK);
    return code === status.UNAVAILABLE || code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED;
  });
  expect((await bystander.unary({ text: "?" })).code).toBe(status.OK);
}, 40_000);
