/** Clients outside the mesh: what a gateway exposes, to whom, and what the destination's proxy makes of them. */
import { createHash, createPublicKey } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { join } from "node:path";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  basic,
  dnsName,
  extendedUsage,
  keyUsage,
  makeCertificate,
  type TestCertificate,
  uriName,
  usage,
} from "../support/certificates.js";
import { EchoClient, type UnaryResult } from "../support/echo-client.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { authority, leafOf, pem } from "../support/outside-provider.js";
import { cliPath, run, TestProcess } from "../support/processes.js";
import { TestTokenIssuer } from "../support/token-issuer.js";
import { until } from "../support/until.js";

const policy = `${services}---
kind: JwtIssuer
name: accounts
audiences: [shop]
---
kind: Authorization
name: from-outside
service: echo
allow:
  - from: [gateway/public]
    methods: [test.Echo/Unary, test.Echo/ServerStream]
    when: client == ""
  - from: [gateway/public]
    methods: [test.Echo/Unary]
    client: ["spiffe://partner/till"]
---
kind: Gateway
name: public
listeners:
  - name: open
    expose: [{ service: echo, methods: [test.Echo/Unary, test.Echo/ServerStream, test.Echo/Bidi] }]
    callers: { anyone: true }
  - name: people
    expose: [{ service: echo, methods: [test.Echo/*] }]
    callers: { token: [accounts] }
    limits: { callsPerToken: 5/m }
  - name: partners
    expose: [{ service: echo, methods: [test.Echo/*] }]
    callers: { certificate: true }
`;

const serverCa = authority("servers");
const clientCa = authority("partners");
const issuer = new TestTokenIssuer();
const clients: EchoClient[] = [];
let mesh: TestMesh;
let gateway: TestProcess;
let addresses: Record<string, string> = {};

function store(name: string, certificate: TestCertificate): string {
  const files = [join(mesh.dir, `${name}.crt`), join(mesh.dir, `${name}.key`)] as const;
  for (const [index, text] of [pem(certificate), certificate.keyPem].entries()) {
    writeFileSync(`${files[index]}.new`, text);
    renameSync(`${files[index]}.new`, files[index] as string);
  }
  return files.join(",");
}

function client(listener: string, own?: TestCertificate, host = "shop.example"): EchoClient {
  const [ca, key, chain] = [pem(serverCa), own?.keyPem, own && pem(own)].map((text) => text && Buffer.from(text));
  const security = credentials.createSsl(ca as Buffer, (key as Buffer) ?? null, (chain as Buffer) ?? null);
  const made = new EchoClient(addresses[listener] ?? "", host, security);
  clients.push(made);
  return made;
}

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  const jwks = join(mesh.dir, "jwks.json");
  writeFileSync(jwks, issuer.jwks());
  await mesh.json(0, "issuer", "set", "accounts", "--issuer", issuer.issuer, "--jwks", jwks);
  const made = await mesh.json(0, "token", "--gateway", "public");
  expect(made).toMatchObject({ gateway: "public" });
  writeFileSync(join(mesh.dir, "gateway.token"), made.token);
  writeFileSync(join(mesh.dir, "partners.pem"), pem(clientCa));
  const files = store("tls", leafOf(serverCa, extendedUsage.server, dnsName("shop.example")));
  const listeners = ["open", "people", "partners"];
  gateway = new TestProcess("gateway", process.execPath, [
    ...[cliPath, "gateway", "--name", "public", "--token", join(mesh.dir, "gateway.token")],
    ...["--join", join(mesh.data, "join.json"), "--data", join(mesh.dir, "gateway")],
    ...listeners.flatMap((name) => ["--listener", `${name}=127.0.0.1:0`, "--cert", `${name}=${files}`]),
    ...["--host", "open=shop.example", "--client-ca", `partners=${join(mesh.dir, "partners.pem")}`],
  ]);
  await gateway.said("ready");
  addresses = Object.fromEntries(
    [...gateway.stdout.matchAll(/(\w+)=(\S+)/g)].map(([, name, address]) => [name, address]),
  );
}, 90_000);

afterAll(async () => {
  for (const one of clients) one.raw.close();
  await gateway?.stop();
  await mesh?.stop();
}, 60_000);

/** Returns the gRPC status of an empty call on `session`. */
function unaryOn(session: ClientHttp2Session): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = session.request({
      ...{ ":method": "POST", ":path": "/test.Echo/Unary", ":authority": "shop.example" },
      ...{ "content-type": "application/grpc", te: "trailers" },
    });
    const take = (fields: IncomingHttpHeaders): void => {
      if (fields["grpc-status"] !== undefined) resolve(String(fields["grpc-status"]));
    };
    request.on("response", take).on("trailers", take).on("error", reject).resume();
    request.end(Buffer.alloc(5));
  });
}

const bearer = (token: string): Metadata => {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
};

test("anyone may call what is exposed and allowed, as the gateway, whatever they say of themselves", async () => {
  const forged = new Metadata();
  forged.set("ashlar-client", "spiffe://partner/till");
  forged.set("ashlar-caller", "spiffe://test/service/front");
  forged.set("x-forwarded-for", "10.9.9.9");
  const open = client("open");
  const { code, response, headers } = await open.unary({ text: "hello" }, { metadata: forged });
  expect([code, response?.text, response?.caller]).toEqual([0, "hello", "spiffe://test/gateway/public"]);
  expect(headers.get("x-seen-ashlar-client")).toEqual([""]);
  expect(headers.get("x-seen-x-forwarded-for")).toEqual(["127.0.0.1"]);
  const answers = [await open.unary({}, { method: "Forbidden" })];
  expect(answers.map((one: UnaryResult) => [one.code, one.details])).toEqual([
    [status.UNIMPLEMENTED, "there is no method test.Echo/Forbidden here"],
  ]);
  const denied = await new Promise<number>((resolve) => {
    const call = open.raw.Bidi();
    call.on("error", (error: { code: number }) => resolve(error.code));
    call.on("data", () => {});
    call.end();
  });
  expect(denied).toBe(status.PERMISSION_DENIED); // exposed, and no rule allows it
});

test("a request for another host is answered 421, and a handshake for one fails", async () => {
  const [host = "", port = ""] = (addresses.open ?? "").split(":");
  const session = connect(`https://${host}:${port}`, { ca: pem(serverCa), servername: "shop.example" });
  const statusOf = (authority: string) =>
    new Promise((resolve, reject) => {
      const request = session.request({
        ...{ ":method": "POST", ":path": "/test.Echo/Unary", ":authority": authority },
        ...{ "content-type": "application/grpc", te: "trailers" },
      });
      request.on("response", (fields) => resolve(fields[":status"])).on("error", reject);
      request.end();
    });
  const authorities = ["other.example", "Shop.Example", "shop.example:8443", "shop.example.:443", "[::1]:443"];
  const answered = await Promise.all(authorities.map(statusOf));
  session.close();
  expect(answered).toEqual([421, 200, 200, 200, 421]);
  const wrong = await client("open", undefined, "other.example").unary({}, { deadlineMs: 2000 });
  expect(wrong.code).not.toBe(0);
});

test("where tokens are asked for, only a good one gets in, and so often as the limit says", async () => {
  const people = client("people");
  const token = issuer.token({}, {}, issuer.keys[0], Math.floor(Date.now() / 1000));
  expect((await people.unary({})).code).toBe(status.UNAUTHENTICATED);
  expect((await people.unary({}, { metadata: bearer("a.b.c") })).code).toBe(status.UNAUTHENTICATED);
  expect((await people.unary({}, { metadata: bearer(token) })).code).toBe(0);
  const codes = new Set<number>();
  for (let call = 0; call < 6; call++) codes.add((await people.unary({}, { metadata: bearer(token) })).code);
  expect(codes).toContain(status.RESOURCE_EXHAUSTED);
});

test("a client's certificate names it to the destination, by its URI or its key, never as a service", async () => {
  const till = leafOf(clientCa, extendedUsage.client, uriName("spiffe://partner/till"));
  const spoof = leafOf(clientCa, extendedUsage.client, uriName("spiffe://test/service/front"));
  const plain = leafOf(clientCa, extendedUsage.client);
  const stranger = leafOf(serverCa, extendedUsage.client, uriName("spiffe://partner/till"));
  const reader = leafOf(clientCa, extendedUsage.client, uriName("spiffe://test/reader/front/front-a"));
  expect((await client("partners", reader).unary({})).code).toBe(status.UNAVAILABLE); // it is no client at all
  const codes: number[] = [];
  for (const own of [undefined, stranger, spoof, plain, till])
    codes.push((await client("partners", own).unary({ text: "x" })).code);
  const { UNAUTHENTICATED, PERMISSION_DENIED } = status;
  expect(codes).toEqual([UNAUTHENTICATED, UNAUTHENTICATED, PERMISSION_DENIED, PERMISSION_DENIED, 0]);
  const { headers, response } = await client("partners", till).unary({});
  expect(headers.get("x-seen-ashlar-client")).toEqual(["spiffe://partner/till"]);
  expect(response?.caller).toBe("spiffe://test/gateway/public");
  const spki = createPublicKey(plain.key).export({ type: "spki", format: "der" });
  const name = `sha256:${createHash("sha256").update(spki).digest("hex")}`;
  await mesh.apply(policy.replace('["spiffe://partner/till"]', `["${name}"]`));
  expect((await client("partners", plain).unary({})).code).toBe(0);
  expect((await client("partners", till).unary({})).code).toBe(PERMISSION_DENIED);
});

test("what the gateway refuses has a decision, which is listed, explained and decided again", async () => {
  const refused = [
    await client("open").unary({}, { method: "Forbidden" }),
    await client("people").unary({}, { metadata: bearer("a.b.c") }),
    await client("partners").unary({}),
  ];
  const ids = refused.map(({ trailers }) => String(trailers.get("ashlar-decision")));
  interface Told extends Record<string, unknown> {
    readonly id: string;
  }
  let told: readonly Told[] = [];
  const isTold = async (): Promise<boolean> => {
    told = (await mesh.json(0, "decisions", "--service", "gateway/public", "--denied")).decisions;
    return ids.every((id) => told.some((one) => one.id === id));
  };
  await until("all are told", isTold, 20_000, () => JSON.stringify([ids, told]));
  const about = {
    direction: "edge",
    service: "gateway/public",
    protocol: "grpc",
    caller: "spiffe://test/gateway/public",
  };
  const found = ids.map((id) => told.find((one) => one.id === id));
  expect(found).toMatchObject([
    {
      ...about,
      verdict: "denied",
      rule: "open/expose",
      method: "test.Echo/Forbidden",
      inputs: { source: "127.0.0.1" },
    },
    { ...about, verdict: "unauthenticated", rule: "people/callers.token", tokenProblem: expect.any(String) },
    { ...about, verdict: "unauthenticated", rule: "partners/callers.certificate" },
  ]);
  const explained = await mesh.json(0, "explain", ids[0] ?? "");
  expect(explained).toMatchObject({
    again: { verdict: "denied", reproduced: true },
    nearest: { change: "add test.Echo/Forbidden to what listener open of gateway/public exposes" },
  });
  const open = join(mesh.dir, "open.yaml");
  writeFileSync(
    open,
    policy
      .replace("test.Echo/Bidi]", "test.Echo/Bidi, test.Echo/Forbidden]")
      .replace("{ certificate: true }", "{ anyone: true }"),
  );
  const replayed = await mesh.json(0, "replay", "-f", open, "--since", "1h");
  const flips = replayed.flips.map(({ method, before, after, service }: Record<string, string>) => [
    service,
    method,
    before,
    after,
  ]);
  expect(flips).toContainEqual(["gateway/public", "test.Echo/Forbidden", "denied", "allowed"]);
  expect(flips).toContainEqual(["gateway/public", "test.Echo/Unary", "unauthenticated", "allowed"]);
});

test("I10: an open call ends when its method is exposed no more, or another proof is asked for", async () => {
  const exposed = "[test.Echo/Unary, test.Echo/ServerStream, test.Echo/Bidi]";
  for (const [changed, code] of [
    [policy.replace(exposed, "[test.Echo/Unary]"), status.UNIMPLEMENTED],
    [policy.replace("{ anyone: true }", "{ token: [accounts] }"), status.UNAUTHENTICATED],
  ] as const) {
    await mesh.apply(policy);
    const call = client("open").serverStream({ text: "on", count: 100_000, delay_ms: 50 });
    const ended = new Promise<number>((resolve) => call.on("error", (error: { code: number }) => resolve(error.code)));
    await new Promise((resolve) => call.once("data", resolve));
    call.on("data", () => {});
    await mesh.apply(changed);
    expect(await ended).toBe(code);
  }
  await mesh.apply(policy);
});

test("a client whose CA is taken no more is let go, and one whose CA stays is not", async () => {
  const middle = makeCertificate({
    name: "middle",
    issuer: clientCa,
    extensions: [basic(true), keyUsage([usage.keyCertSign])],
  });
  const other = authority("other partners");
  const kept = [leafOf(middle, extendedUsage.client, uriName("spiffe://partner/till")), middle];
  const gone = [leafOf(other, extendedUsage.client, uriName("spiffe://partner/till"))];
  const file = join(mesh.dir, "partners.pem");
  const store = (...cas: readonly TestCertificate[]): void => {
    writeFileSync(`${file}.new`, pem(...cas));
    renameSync(`${file}.new`, file);
  };
  const open = (own: readonly TestCertificate[]): Promise<ClientHttp2Session> =>
    new Promise((resolve, reject) => {
      const [host = "", port = ""] = (addresses.partners ?? "").split(":");
      const security = { ca: pem(serverCa), key: own[0]?.keyPem, cert: pem(...own), servername: "shop.example" };
      const session = connect(`https://${host}:${port}`, security);
      session.once("remoteSettings", () => resolve(session)).once("error", reject);
    });
  const keeps = await open(kept);
  store(clientCa, other);
  let session: ClientHttp2Session | undefined;
  const isTaken = async (): Promise<boolean> => {
    session?.destroy();
    session = await open(gone);
    return (await unaryOn(session)) === "0";
  };
  await until("the second CA is taken", isTaken, 20_000, () => "");
  const closed = new Promise((resolve) => session?.once("close", resolve));
  store(clientCa);
  await closed;
  expect([keeps.closed, await unaryOn(keeps)]).toEqual([false, "0"]);
  keeps.close();
});

test("operators ask about gateways as about services", async () => {
  const verdict = await mesh.json(0, "can", "gateway/public", "echo/test.Echo/Forbidden");
  expect(verdict).toMatchObject({ allowed: false });
  const proxies = await mesh.json(0, "proxies");
  expect(proxies.map(({ service }: { service: string }) => service)).toContain("gateway/public");
  expect(await mesh.json(0, "status")).toMatchObject({ healthy: true });
});

test("a certificate that changes on disk is shown to new clients, and open calls go on", async () => {
  const call = client("open").serverStream({ text: "on", count: 100_000, delay_ms: 200 });
  let received = 0;
  call.on("data", () => received++).on("error", () => {});
  const next = authority("next servers");
  store("tls", leafOf(next, extendedUsage.server, dnsName("shop.example")));
  const isShown = async (): Promise<boolean> => {
    const security = credentials.createSsl(Buffer.from(pem(next)));
    const one = new EchoClient(addresses.open ?? "", "shop.example", security);
    return (await one.unary({}, { deadlineMs: 2000 }).finally(() => one.raw.close())).code === 0;
  };
  await until("the new certificate is shown", isShown, 20_000, () => "");
  const before = received;
  await until(
    "the open stream goes on",
    async () => received > before,
    10_000,
    () => "",
  );
  call.cancel();
});

test("what cannot be meant is refused at the start, all of it at once", async () => {
  const { code, stderr } = await run(process.execPath, [
    ...[cliPath, "gateway", "--name", "No", "--join", "nowhere.json", "--listener", "web=0.0.0.0:0"],
    ...["--listener", "bad", "--host", "other=shop.example", "--cert", "web2=a"],
  ]);
  expect(code).toBe(2);
  for (const words of ["--name: expected", "without --cert", "LISTENER=HOST:PORT", "no --listener other", "web2"])
    expect(stderr).toContain(words);
});
