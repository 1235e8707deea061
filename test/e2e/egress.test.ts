/** Calls that leave the mesh from the caller's own proxy: to servers over TLS that know nothing of Ashlar. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { extendedUsage } from "../support/certificates.js";
import { TestDns } from "../support/dns-server.js";
import { EchoClient } from "../support/echo-client.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { authority, outsideCa, outsideLeaf, Providers, pem } from "../support/outside-provider.js";
import { until } from "../support/until.js";

const policy = (methods = "test.Echo/Unary, test.Echo/ServerStream", limit = ""): string => `
kind: Service
name: front
---
kind: Service
name: stranger
---
kind: Egress
name: cards
methods: [test.Echo/Unary, test.Echo/ServerStream]
---
kind: Authorization
name: cards
service: cards
allow:
  - from: [front]
    methods: [${methods}]
${limit}`;

const providers = new Providers();
const { seen } = providers;
const clients: EchoClient[] = [];
const dns = new TestDns();
let mesh: TestMesh;
let front: TestProxy;
let stranger: TestProxy;
let address = "";

function client(proxy: TestProxy, name = "cards"): EchoClient {
  const made = new EchoClient(proxy.outbound, name);
  clients.push(made);
  return made;
}

const set = (...flags: string[]) =>
  mesh.json(0, "egress", "set", "cards", "--address", address, "--ca", join(mesh.dir, "ca.pem"), ...flags);

/** Calls until the answer is as wanted: what the trust log says reaches proxies within moments. */
async function answered(code: number, text: RegExp, proxy = front): Promise<Awaited<ReturnType<EchoClient["unary"]>>> {
  const caller = client(proxy);
  let last = await caller.unary({ text: "x" });
  await until(
    `${code} ${text}`,
    async () => {
      last = await caller.unary({ text: "x" });
      return last.code === code && text.test(last.details);
    },
    20_000,
    () => `${last.code} ${last.details}`,
  );
  return last;
}

beforeAll(async () => {
  mesh = await TestMesh.start();
  const resolver = await dns.listen();
  dns.hosts.set("cards.example", ["127.0.0.1"]);
  writeFileSync(join(mesh.dir, "ca.pem"), pem(outsideCa));
  const own = outsideLeaf(extendedUsage.client, "shop.example");
  writeFileSync(join(mesh.dir, "own.crt"), pem(own));
  writeFileSync(join(mesh.dir, "own.key"), own.keyPem);
  const flags = [
    ...["--egress-dns", resolver],
    ...["--egress-key", `shop=${join(mesh.dir, "own.crt")},${join(mesh.dir, "own.key")}`],
  ];
  front = await mesh.proxy({ name: "front", service: "front", flags });
  stranger = await mesh.proxy({ name: "stranger", service: "stranger", flags: [...flags, "--workers", "2"] });
  address = `cards.example:${await providers.start("cards", "cards.example")}`;
}, 90_000);

afterAll(async () => {
  for (const one of clients) one.close();
  providers.close();
  dns.close();
  await mesh?.stop();
}, 60_000);

test("an Egress without an address is called nowhere, and apply says so", async () => {
  const applied = await mesh.json(0, "apply", "-f", mesh.policy("policy.yaml", policy()), "--wait");
  expect(applied.findings).toEqual([
    expect.objectContaining({ severity: "warning", message: expect.stringContaining("ashlar egress set cards") }),
  ]);
  await answered(status.UNAVAILABLE, /cards has no address/);
}, 60_000);

test("an address that points inside is refused until an operator lists its network", async () => {
  await set();
  await answered(status.UNAVAILABLE, /127\.0\.0\.1 is not public, and no --allow-address/);
  await set("--allow-address", "127.0.0.0/8");
  await answered(status.OK, /^OK$/);
  expect(await mesh.json(0, "egress", "list")).toEqual([
    expect.objectContaining({ name: "cards", address, allowAddresses: ["127.0.0.0/8"] }),
  ]);
}, 60_000);

test("nothing of the mesh's own goes outside, and nothing that comes back is believed", async () => {
  seen.length = 0;
  const metadata = new Metadata();
  metadata.set("x-sent", "kept");
  metadata.set("ashlar-caller", "spiffe://test/service/admin");
  for (const name of ["ashlar-expected-sequence", "ashlar-after-sequence"]) metadata.set(name, "7");
  const { code, trailers } = await client(front).unary({ text: "hello" }, { metadata });
  expect(code).toBe(status.OK);
  const [call] = seen;
  expect(call?.authority).toBe(address);
  expect(call?.fields["x-sent"]).toBe("kept");
  expect(Object.keys(call?.fields ?? {}).filter((name) => name.startsWith("ashlar"))).toEqual([]);
  expect(trailers.get("x-own")).toEqual(["kept"]);
  expect(trailers.get("ashlar-revision")).toEqual(["1"]);
  expect(trailers.get("ashlar-decision")).toEqual([]);
});

test("the proxy of a service that calls an egress goes on being heard of", async () => {
  const seenAt = async (): Promise<string> => {
    const proxies = (await mesh.json(0, "proxies")) as unknown as readonly { service: string; lastSeen: string }[];
    return proxies.find(({ service }) => service === "front")?.lastSeen ?? "";
  };
  const calledAt = new Date().toISOString();
  await answered(status.OK, /^OK$/);
  await until("a heartbeat after the call", async () => (await seenAt()) > calledAt, 30_000);
}, 60_000);

test("whoever policy does not allow is refused by its own proxy, recorded, with one process and with two", async () => {
  seen.length = 0;
  const stopped = await answered(status.PERMISSION_DENIED, /^denied \(decision \S+, revision 1\)$/, stranger);
  expect(stopped.trailers.get("ashlar-decision")).toHaveLength(1);
  const unstated = await client(front).unary({ text: "x" }, { method: "Forbidden" });
  expect([unstated.code, unstated.details]).toEqual([
    status.PERMISSION_DENIED,
    expect.stringMatching(/^denied \(decision \S+, revision 1\)$/),
  ]);
  expect(seen).toEqual([]);
  const id = String(unstated.trailers.get("ashlar-decision")[0]);
  await until("the refusal is recorded", async () => (await mesh.cli("explain", id)).code === 0);
  const explained = await mesh.json(0, "explain", id);
  expect(JSON.stringify(explained)).toContain("Egress cards states its methods, and this is none of them");
}, 60_000);

test("can and who-can answer for an egress as for a service", async () => {
  expect(await mesh.json(0, "can", "front", "cards/test.Echo/Unary")).toMatchObject({ allowed: true });
  expect(await mesh.json(0, "can", "stranger", "cards/test.Echo/Unary")).toMatchObject({ allowed: false });
  expect(await mesh.json(0, "can", "front", "cards/test.Echo/Forbidden")).toMatchObject({ allowed: false });
  const { callers } = await mesh.json(0, "who-can", "cards/test.Echo/Unary");
  expect(callers.map(({ caller, access }: Record<string, string>) => `${caller} ${access}`)).toEqual([
    "front allowed",
    "stranger denied",
    "* denied",
  ]);
});

test("a certificate for another name, or of another CA, is refused before a byte of a call is sent", async () => {
  await set("--allow-address", "127.0.0.0/8", "--server-name", "other.example");
  await answered(status.UNAVAILABLE, /Hostname\/IP does not match certificate/);
  seen.length = 0;
  expect((await client(front).unary({ text: "x" })).code).toBe(status.UNAVAILABLE);
  writeFileSync(join(mesh.dir, "ca.pem"), pem(authority("another")));
  await set("--allow-address", "127.0.0.0/8");
  await answered(status.UNAVAILABLE, /unable to verify the first certificate|unable to get local issuer/);
  writeFileSync(join(mesh.dir, "ca.pem"), pem(outsideCa));
  expect(seen).toEqual([]);
  await set("--allow-address", "127.0.0.0/8");
  await answered(status.OK, /^OK$/);
}, 60_000);

test("a provider that asks who calls gets the key that the trust log names, and no other", async () => {
  const port = await providers.start("strict", "cards.example", true);
  const strict = (...flags: string[]) =>
    mesh.json(
      0,
      ...["egress", "set", "cards", "--address", `cards.example:${port}`, "--ca", join(mesh.dir, "ca.pem")],
      ...["--allow-address", "127.0.0.0/8", ...flags],
    );
  await strict("--client-key-name", "unknown");
  await answered(status.UNAVAILABLE, /asks for the key unknown, which this process does not have: give --egress-key/);
  writeFileSync(join(mesh.dir, "other.crt"), pem(outsideLeaf(extendedUsage.client, "other.example")));
  await strict("--client-key-name", "shop", "--client-cert", join(mesh.dir, "other.crt"));
  await answered(status.UNAVAILABLE, /own\.crt has another key/);
  await strict("--client-key-name", "shop", "--client-cert", join(mesh.dir, "own.crt"));
  const { response } = await answered(status.OK, /^OK$/);
  expect(response?.version).toBe("strict");
  await set("--allow-address", "127.0.0.0/8");
  await answered(status.OK, /^OK$/);
}, 60_000);

test("a provider that python3-grpcio serves", async () => {
  const certificate = outsideLeaf(extendedUsage.server, "cards.example");
  const files = [join(mesh.dir, "python.crt"), join(mesh.dir, "python.key")] as const;
  writeFileSync(files[0], pem(certificate));
  writeFileSync(files[1], certificate.keyPem);
  const python = await mesh.child("python", "/usr/bin/python3", ["test/support/echo_server.py", ...files]);
  const port = /ready (\d+)/.exec(python.stdout)?.[1];
  const own = ["--address", `cards.example:${port}`, "--allow-address", "127.0.0.1/32"];
  await mesh.json(0, "egress", "set", "cards", "--ca", join(mesh.dir, "ca.pem"), ...own);
  await until("its answers come", async () => {
    const { code, response, trailers } = await client(front).unary({ text: "hello" });
    return code === status.OK && response?.text === "hello" && trailers.get("x-python")[0] === "yes";
  });
  await set("--allow-address", "127.0.0.0/8");
  await answered(status.OK, /^OK$/);
}, 60_000);

test("the mesh's own ports are no egress, whatever is listed", async () => {
  const { nats } = mesh.ready();
  const own = nats.split(",")[0]?.replace(/^\w+:\/\//, "") ?? "";
  await mesh.json(0, "egress", "set", "cards", "--address", own, "--allow-address", "0.0.0.0/0");
  await answered(status.UNAVAILABLE, /is a port of the mesh \(NATS\)/);
  await set("--allow-address", "127.0.0.0/8");
  await answered(status.OK, /^OK$/);
}, 60_000);

test("I10: what policy takes away ends on open streams, and so do the calls of an egress that is removed", async () => {
  const ended = (caller: EchoClient): Promise<number> =>
    new Promise((resolve) => {
      const stream = caller.serverStream({ count: 1 });
      stream.on("data", () => {});
      stream.on("error", (error: { readonly code?: number }) => resolve(error.code ?? -1));
    });
  const open = ended(client(front));
  await mesh.apply(policy("test.Echo/Unary"));
  expect(await open).toBe(status.PERMISSION_DENIED);
  await mesh.apply(policy());
  const again = ended(client(front));
  await mesh.json(0, "egress", "remove", "cards");
  expect(await again).toBe(status.UNAVAILABLE);
  await answered(status.UNAVAILABLE, /cards has no address/);
}, 60_000);
