/** Direct reads in the SDK: the certificate and its renewal, the choice for each call, and certificates that change under calls. */
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import * as grpc from "@grpc/grpc-js";
import { afterEach, expect, test } from "@jest/globals";
import { agentBounds } from "../../data-plane/agent/agent-service.js";
import { openIdentity } from "../../data-plane/identity/proxy-identity.js";
import { FollowDirectResponse } from "../../proto/gen/ashlar/v1/agent.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { publicKeyDer } from "../../runtime/tls-identity-keys.js";
import { parseCsr } from "../../runtime/tls-identity-request.js";
import { buildCertificateRequest } from "../../sdk/direct/certificate-request.js";
import { DirectChannel } from "../../sdk/direct/direct-channel.js";
import { type DirectCredentials, DirectIdentity } from "../../sdk/direct/direct-identity.js";
import { DirectReads, directServicesMax } from "../../sdk/direct/direct-reads.js";
import { type DirectGrpc, DirectRoute, type DirectStatus } from "../../sdk/direct/direct-route.js";
import { ByteClient } from "../support/byte-service.js";
import { startJoinMesh } from "../support/join-mesh.js";
import { ManualClock } from "../support/manual-clock.js";
import { buildPolicy, everyone, mesh } from "../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../support/proxy-pair.js";
import { untilTrue } from "../support/until.js";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test("a certificate request is one, for its key", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { publicKey } = parseCsr(buildCertificateRequest(privateKey));
  expect(Buffer.from(publicKey)).toEqual(Buffer.from(publicKeyDer(privateKey)));
});

/** A proxy that has joined a control plane whose certificates for applications live so long. */
async function issuing(more: Parameters<typeof startJoinMesh>[2], clock = systemClock, csrOf = (csr: Buffer) => csr) {
  const dir = mkdtempSync(join(tmpdir(), "direct-"));
  const at = await startJoinMesh(join(dir, "up"), systemClock, more);
  const life = new AbortController();
  const { token } = at.tokens.createToken({ service: "shop" });
  const proxy = await openIdentity(
    { clock: systemClock, log: silentLogger, random: Math.random },
    { dir: join(dir, "proxy"), join: at.join, token, service: "shop" },
    life.signal,
  );
  cleanups.push(async () => {
    life.abort();
    await at.server.stop(0);
    rmSync(dir, { recursive: true, force: true });
  });
  const issue = (csr: Buffer) => proxy.issueReader(csrOf(csr));
  return { identity: new DirectIdentity({ clock, random: Math.random, issue, signal: life.signal }) };
}

test("a certificate is replaced before it ends, each time for another key", async () => {
  const { identity } = await issuing({ readerTtlMs: 4000 });
  const seen: DirectCredentials[] = [];
  identity.onChange(() => {
    if (identity.current !== undefined) seen.push(identity.current);
  });
  identity.want(() => true);
  await untilTrue(() => seen.length >= 3);
  const keys = seen.map(({ privateKeyPem }) => createPrivateKey(privateKeyPem).export({ format: "jwk" }).x);
  expect(new Set(keys).size).toBe(seen.length);
});

test("why there is none reaches the application", async () => {
  const { identity } = await issuing({ hasDirectReads: false });
  identity.want(() => true);
  await untilTrue(() => identity.problem.includes("no Journal of the policy in force has reads: direct"));
  expect(identity.current).toBeUndefined();
});

test("a control plane of a version without direct reads is named as the reason", async () => {
  const life = new AbortController();
  const issue = () => Promise.reject(Object.assign(new Error("12 UNIMPLEMENTED: ..."), { code: 12 }));
  const identity = new DirectIdentity({ clock: systemClock, random: Math.random, issue, signal: life.signal });
  cleanups.push(() => life.abort());
  identity.want(() => true);
  await untilTrue(() =>
    identity.problem.startsWith("no certificate: the control plane that was asked is of a version"),
  );
});

test("a certificate that has ended by this machine's clock is not asked for again and again", async () => {
  const ahead = { ...systemClock, nowMs: () => systemClock.nowMs() + 2 * 3_600_000 };
  const { identity } = await issuing({}, ahead);
  identity.want(() => true);
  await untilTrue(() => identity.problem.includes("before now by this machine's clock"));
  expect(identity.current).toBeUndefined();
});

test("a certificate for another key is none, and does not end the process", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { identity } = await issuing({}, systemClock, () => buildCertificateRequest(privateKey));
  identity.want(() => true);
  await untilTrue(() => /no certificate: .*key values mismatch/.test(identity.problem));
  expect(identity.current).toBeUndefined();
});

/** Direct reads of an application whose agent answers nothing, or always this error. */
function following(error?: Error) {
  const [clock, left, asked] = [new ManualClock(), new AbortController(), [] as string[]];
  const followDirect = (service: string) => {
    asked.push(service);
    const call = Object.assign(new Readable({ objectMode: true, read() {} }), {
      cancel: () => void call.destroy(new Error("cancelled")),
    });
    if (error !== undefined) setImmediate(() => call.destroy(error));
    return call as never;
  };
  const agent = { followDirect, issueDirect: async () => [] };
  const direct = new DirectReads({ agent, clock, grpc, outbound: "unix:/nowhere", left: left.signal });
  cleanups.push(() => left.abort());
  return { direct, clock, asked };
}

test("a proxy of a version without direct reads is asked again: it may be updated beside the application", async () => {
  const heard: DirectStatus[] = [];
  const { direct, clock, asked } = following(Object.assign(new Error(), { code: grpc.status.UNIMPLEMENTED }));
  direct.client("bytes", { onStatus: (told) => void heard.push(told) });
  await untilTrue(() => heard.length === 1 && clock.sleeping === 1);
  expect(heard).toEqual([{ kind: "proxied", reason: "this proxy is of a version without direct reads" }]);
  await clock.advance(60_000);
  await untilTrue(() => asked.length === 2);
});

test("however many services are read from, the agent's connection has room for the registration", async () => {
  const heard: DirectStatus[] = [];
  const { direct, asked } = following();
  for (let n = 0; n <= directServicesMax; n++)
    direct.client(`bytes-${n}`, { onStatus: (told) => void heard.push(told) });
  expect(asked).toHaveLength(directServicesMax);
  expect(directServicesMax).toBeLessThan(agentBounds.streamsMax - 4);
  expect(heard).toEqual([{ kind: "proxied", reason: "at most 24 services are read from directly" }]);
});

async function world() {
  const pair = await ProxyPair.start({ Unary: (call, callback) => callback(null, call.request) });
  const journal = { methods: ["test.Bytes/ClientStream"], mode: "before", response: "bytes" } as const;
  const reads = { version: "", waitMs: 1000, way: "direct" } as const;
  const unit = {
    ...{ service: "bytes", allow: [everyone], noSideEffects: ["test.Bytes/Unary"] },
    journal: { ...journal, methods: [...journal.methods], reads, idempotencyKey: undefined, orderBy: undefined },
  };
  for (const side of [pair.caller, pair.callee]) side.policy.switchTo(buildPolicy(2, [unit]));
  const listeners: (() => void)[] = [];
  const credentials = (): DirectCredentials => {
    const { serial } = pair.caller.identity.current;
    const { certificateChainPem, ...made } = pair.pki.issueReader(`spiffe://${mesh}/reader/shop/proxy-shop`, serial);
    return { ...made, chainPem: certificateChainPem };
  };
  const identity = {
    current: undefined as DirectCredentials | undefined,
    problem: "none yet",
    onChange: (listener: () => void) => void listeners.push(listener),
    isGood: (notAfterMs: number) => notAfterMs !== ended.atMs,
  };
  const ended = { atMs: 0 };
  const renew = (): void => {
    identity.current = credentials();
    for (const listener of listeners) listener();
  };
  const heard: DirectStatus[] = [];
  const route = new DirectRoute(grpc as unknown as DirectGrpc, "bytes", identity, (status) => void heard.push(status));
  const where = (more: object = {}) =>
    FollowDirectResponse.fromPartial({
      freeMethods: ["test.Bytes/*"],
      writes: ["test.Bytes/ClientStream"],
      endpoints: [{ address: pair.address, proxyId: "proxy-bytes", version: "v1" }],
      spiffeId: `spiffe://${mesh}/service/bytes`,
      roots: [pair.pki.rootPem],
      ...more,
    });
  const outbound = `unix:${join(pair.dir, "out.sock")}`;
  const insecure = grpc.credentials.createInsecure();
  const proxied = new grpc.Channel(outbound, insecure, { "grpc.default_authority": "bytes" });
  const channelOverride = new DirectChannel(proxied, route) as unknown as grpc.Channel;
  const client = new ByteClient(outbound, "bytes", insecure, { channelOverride });
  cleanups.push(() => {
    client.close();
    route.close();
    pair.stop();
  });
  /** How many calls went through the proxy of the application. */
  const passed = () => pair.caller.metrics.ended.length;
  return { pair, route, renew, heard, where, client, passed, identity, ended, unit };
}

const hello = Buffer.from("hello");

test("reads go directly once there are a certificate and a connection, all else and all before by the local proxy", async () => {
  const { pair, route, renew, heard, where, client, passed } = await world();
  expect((await client.unary(hello)).error).toBeUndefined();
  expect(passed()).toBe(1);
  route.hear(where());
  expect((await client.unary(hello)).error).toBeUndefined();
  expect([passed(), heard.at(-1)]).toEqual([2, { kind: "proxied", reason: "none yet" }]);
  renew();
  await eventually("it is direct", () => heard.at(-1)?.kind === "direct");
  expect((await client.unary(hello)).error).toBeUndefined();
  expect(passed()).toBe(2);
  await new Promise((resolve) => client.clientStream((error) => resolve(error)).end(hello));
  expect(passed()).toBe(3);
  route.hear(where({ whyNot: "no Journal", endpoints: [] }));
  expect((await client.unary(hello)).error).toBeUndefined();
  expect([passed(), heard.at(-1)]).toEqual([4, { kind: "proxied", reason: "no Journal" }]);
  expect(pair.callee.metrics.connections).toBeGreaterThan(1);
  route.close(); // what was replaced a moment ago does not keep the process of an application that has left
  await eventually("only the local proxy is connected", () => pair.callee.metrics.connections === 1);
});

test("a read that the destination's proxy takes directly no more goes once through the local proxy", async () => {
  const { pair, route, renew, heard, where, client, passed, unit } = await world();
  renew();
  route.hear(where());
  await eventually("it is direct", () => heard.at(-1)?.kind === "direct");
  const { reads: _reads, ...journal } = unit.journal;
  pair.callee.policy.switchTo(buildPolicy(3, [{ ...unit, journal }])); // the application has not heard of it yet
  const { error, response } = await client.unary(hello);
  expect([error, response, passed()]).toEqual([undefined, hello, 1]);
  pair.callee.policy.switchTo(buildPolicy(4, [{ ...unit, allow: [], journal }]));
  const denied = await client.unary(hello);
  expect([denied.error?.code, passed()]).toEqual([grpc.status.PERMISSION_DENIED, 2]);
});

test("a proxy for calls that leave the environment is not in the way", async () => {
  const { route, renew, heard, where } = await world();
  process.env.grpc_proxy = "http://127.0.0.1:1";
  cleanups.push(() => void delete process.env.grpc_proxy);
  renew();
  route.hear(where());
  await eventually("it is direct", () => heard.at(-1)?.kind === "direct");
});

test("certificates change under calls, and none fails or takes the other way", async () => {
  const { route, renew, heard, where, client, passed } = await world();
  renew();
  route.hear(where());
  await eventually("it is direct", () => heard.at(-1)?.kind === "direct");
  for (let round = 0; round < 5; round++) {
    renew();
    for (let call = 0; call < 20; call++) expect((await client.unary(hello)).error).toBeUndefined();
  }
  expect(passed()).toBe(0);
});

test("a connection whose certificate has ended is not used, where no other one could be made", async () => {
  const { pair, route, renew, heard, where, client, passed, identity, ended } = await world();
  renew();
  const atMs = identity.current?.notAfterMs ?? 0;
  route.hear(where());
  await eventually("it is direct", () => heard.at(-1)?.kind === "direct");
  renew();
  if (identity.current !== undefined) identity.current = { ...identity.current, notAfterMs: atMs + 1 };
  route.hear(where({ roots: [pair.pki.rootPem], spiffeId: `spiffe://${mesh}/service/other` })); // no connection comes of it
  expect((await client.unary(hello)).error).toBeUndefined();
  expect(passed()).toBe(0);
  ended.atMs = atMs;
  expect((await client.unary(hello)).error).toBeUndefined();
  expect(passed()).toBe(1);
});

test("a server that is not the service by its SPIFFE ID gets nothing", async () => {
  const { pair, route, renew, heard, where, client, passed } = await world();
  renew();
  route.hear(where({ spiffeId: `spiffe://${mesh}/service/other` }));
  await eventually("it was tried", () => pair.callee.metrics.failures.length + heard.length > 0);
  expect((await client.unary(hello)).error).toBeUndefined();
  expect([passed(), heard.at(-1)]).toEqual([1, { kind: "proxied", reason: "no proxy of bytes is reached directly" }]);
});
