/** Certificates of applications that read directly: who gets one, and where it is good for nothing. */
import { createHash, createPrivateKey } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { credentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { dayMs } from "../../../control-plane/identity/authority.js";
import { readerIn } from "../../../core/identity.js";
import { heartbeatSubject } from "../../../core/wire/subjects.js";
import { openIdentity } from "../../../data-plane/identity/proxy-identity.js";
import { JoinServiceService } from "../../../proto/gen/ashlar/v1/join.js";
import { type Clock, systemClock } from "../../../runtime/clock.js";
import { callUnary, connectGrpc } from "../../../runtime/grpc-client.js";
import { silentLogger } from "../../../runtime/log.js";
import { StatementReader } from "../../../runtime/statement-reader.js";
import { StatementWriter } from "../../../runtime/statement-writer.js";
import { checkRevocation, parseCallerSvid, parseSvid, verifySvidChain } from "../../../runtime/tls-identity.js";
import { issueCertificate } from "../../../runtime/tls-identity-issue.js";
import { fromPem, generatePrivateKeyPem, publicKeyDer, signEcdsa, toPem } from "../../../runtime/tls-identity-keys.js";
import { buildCsr } from "../../../runtime/tls-identity-request.js";
import { type JoinMesh, startJoinMesh } from "../../support/join-mesh.js";
import { signedMessage } from "../../support/statements.js";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "readers-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function open(more: Parameters<typeof startJoinMesh>[2] = {}, clock: Clock = systemClock) {
  const at = await startJoinMesh(folder(), clock, more);
  cleanups.push(() => at.server.stop(0));
  const proxy = await joined(at, clock);
  return { at, proxy };
}

async function joined(at: JoinMesh, clock: Clock, service = "storefront") {
  const controller = new AbortController();
  cleanups.push(() => controller.abort());
  return openIdentity(
    { clock, log: silentLogger, random: Math.random },
    { dir: folder(), join: at.join, token: at.tokens.createToken({ service }).token, service },
    controller.signal,
  );
}

interface Asked {
  readonly chain: readonly Uint8Array[];
  readonly key: string;
  readonly csrKey?: string;
  readonly prefix?: string;
}

/** Asks with any certificate and key, as a thief may. */
async function ask(at: JoinMesh, { chain, key, csrKey = generatePrivateKeyPem(), prefix = "ashlar-reader-v1" }: Asked) {
  const client = connectGrpc({
    address: at.join.join,
    credentials: credentials.createSsl(Buffer.from(at.authority.caPem)),
    options: { "grpc.ssl_target_name_override": "localhost" }, // Node 26 takes no address for the name in TLS
  });
  try {
    const timeoutMs = 5000;
    const { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs });
    const csr = Buffer.from(buildCsr(csrKey));
    const signed = Buffer.concat([Buffer.from(prefix), nonce, createHash("sha256").update(csr).digest()]);
    const [certificate = Buffer.alloc(0), ...above] = chain.map((der) => Buffer.from(der));
    const proof = { certificate, chain: above, csr, nonce, signature: Buffer.from(signEcdsa(signed, key)) };
    if (prefix === "ashlar-renew-v1") {
      const natsUser = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
      const renewal = { ...proof, natsUser, seenActivation: Buffer.alloc(0), seenEpoch: 0, trustSequence: 0 };
      return [(await callUnary(client, JoinServiceService.renew, renewal, { timeoutMs })).identity] as const;
    }
    return (await callUnary(client, JoinServiceService.issueReader, proof, { timeoutMs })).certificateChain;
  } finally {
    client.close();
  }
}

const chainOf = (identity: { readonly certificateChainPem: string }) => fromPem(identity.certificateChainPem);

describe("an application's certificate", () => {
  test("names the service, its proxy and its proxy's certificate, proves a client alone, and lives an hour at most", async () => {
    const { at, proxy } = await open();
    const key = generatePrivateKeyPem();
    const chain = await proxy.issueReader(buildCsr(key));
    const rootsOf = (domain: string) => (domain === "test-mesh" ? [at.authority.caDer] : []);
    const svid = verifySvidChain(chain, rootsOf, Date.now(), parseCallerSvid);
    const { proxyId, serial } = proxy.current;
    expect(svid.spiffeId).toBe(`spiffe://test-mesh/reader/storefront/${proxyId}`);
    expect(svid.reader).toEqual({ service: "storefront", proxyId, parentSerial: serial });
    expect(svid.notAfterMs - Date.now()).toBeLessThanOrEqual(3_600_000);
    expect(at.audit.at(-1)).toMatchObject({
      action: "reader",
      outcome: "ok",
      target: `application of proxy ${proxyId}`,
      detail: `service storefront, certificate ${svid.serial}, under ${serial}`,
    });
    expect(() => checkRevocation(svid, { isRevoked: (one) => one === serial })).toThrow(/is revoked/);
    expect(() => checkRevocation(svid, { isRevoked: (one) => one === svid.serial })).toThrow(/is revoked/);
    expect(checkRevocation(svid, { isRevoked: () => false })).toBe(svid);
  });

  test("does not outlive its proxy's", async () => {
    const { proxy } = await open({ serviceTtlMs: 60_000 });
    const [leaf = new Uint8Array()] = await proxy.issueReader(buildCsr(generatePrivateKeyPem()));
    expect(parseCallerSvid(leaf).notAfterMs).toBeLessThanOrEqual(proxy.current.notAfterMs);
  });

  test.each([
    ["no policy in force lets reads go direct", { hasDirectReads: false }, {}, "denied", /no Journal .* reads: direct/],
    ["the key is the proxy's own", {}, { own: true }, "invalid_argument", /the key is the proxy's own/],
    ["the proxy was revoked", {}, { revoked: true }, "unauthenticated", /revoked/],
    ["the signature is one for a renewal", {}, { prefix: "ashlar-renew" }, "unauthenticated", /not by the certificate/],
    ["another key signed", {}, { foreign: true }, "unauthenticated", /not by the certificate's key/],
  ] as const)("is refused where %s", async (_name, mesh, how, code, message) => {
    const { at, proxy } = await open(mesh);
    const { privateKeyPem, serial } = proxy.current;
    const { own, revoked, prefix, foreign }: { own?: true; revoked?: true; prefix?: string; foreign?: true } = how;
    if (revoked)
      await at.changeTrust(({ sequence }) => ({
        revocations: [{ serial, reason: "", timeMs: Date.now(), sequence: sequence + 1 } as never],
      }));
    const asked = ask(at, {
      chain: chainOf(proxy.current),
      key: foreign ? generatePrivateKeyPem() : privateKeyPem,
      ...(own && { csrKey: privateKeyPem }),
      ...(prefix !== undefined && { prefix }),
    });
    await expect(asked).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(at.audit.at(-1)).toMatchObject({ action: "reader", outcome: code });
  });

  test("is refused to a gateway, to an expired proxy and to a control plane", async () => {
    const clock = { ...systemClock, offsetMs: 0, nowMs: () => Date.now() + clock.offsetMs };
    const { at, proxy } = await open({}, clock);
    const gatewayKey = generatePrivateKeyPem();
    const publicKey = publicKeyDer(gatewayKey);
    const gateway = at.authority.issueService({
      service: "gateway/web",
      version: "v1",
      proxyId: "gateway-web-a",
      publicKey,
    });
    await expect(ask(at, { chain: gateway.chainDer, key: gatewayKey })).rejects.toMatchObject({ code: "denied" });
    const plane = at.authority.issueControlPlane({ name: "main", hosts: [] });
    const asPlane = ask(at, { chain: plane.chainDer, key: plane.privateKeyPem });
    await expect(asPlane).rejects.toMatchObject({ code: "unauthenticated" });
    clock.offsetMs = dayMs + 60_000; // within the grace in which a proxy may renew
    const late = ask(at, { chain: chainOf(proxy.current), key: proxy.current.privateKeyPem });
    await expect(late).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test("is issued to one proxy only so often, and to others all the same", async () => {
    const stopped = { ...systemClock, monotonicMs: () => 1 }; // however long the calls take
    const { at, proxy } = await open({}, stopped);
    const request = { chain: chainOf(proxy.current), key: proxy.current.privateKeyPem };
    for (let count = 0; count < 60; count++) await ask(at, request);
    expect(at.audit.filter(({ action }) => action === "reader")).toHaveLength(1); // the log has room for other things
    await expect(ask(at, request)).rejects.toMatchObject({ code: "limit" });
    expect(at.audit.at(-1)).toMatchObject({ action: "reader", outcome: "limit" });
    const other = await joined(at, stopped);
    await other.issueReader(buildCsr(generatePrivateKeyPem()));
  });
});

describe("the thief of an application's key", () => {
  async function stolen() {
    const { at, proxy } = await open();
    const key = generatePrivateKeyPem();
    return { at, proxy, key, chain: await proxy.issueReader(buildCsr(key)) };
  }

  test("is no workload, operator or control plane for anybody who asks for one", async () => {
    const { at, chain } = await stolen();
    const [leaf = new Uint8Array(), ...above] = chain;
    // the admin API, statements over NATS, NATS credentials and peers' proxies all read certificates so
    expect(() => parseSvid(leaf)).toThrow(/a reader's, which is for calls to services' proxies alone/);
    expect(() => at.authority.verifyIssued(leaf, Date.now(), above)).toThrow(/a reader's/);
  });

  test("renews nothing and gets no further certificate at the join listener", async () => {
    const { at, key, chain } = await stolen();
    for (const prefix of ["ashlar-renew-v1", "ashlar-reader-v1"])
      await expect(ask(at, { chain, key, prefix })).rejects.toMatchObject({
        code: "unauthenticated",
        message: expect.stringContaining("a reader's"),
      });
  });

  test("says nothing over NATS that counts", async () => {
    const { at, proxy, key, chain } = await stolen();
    const identity = { ...proxy.current, certificateChainPem: toPem(chain), privateKeyPem: key };
    const body = Buffer.from("what it says");
    const subject = heartbeatSubject("storefront", identity.proxyId);
    const reader = new StatementReader({
      mesh: "test-mesh",
      trusting: () => at.ledger.trust.head(),
      clock: systemClock,
      unsignedUntilMs: () => 0,
    });
    const say = (current: typeof identity) => {
      const writer = new StatementWriter({ identity: { current }, clock: systemClock } as never);
      return () => reader.hear("heartbeat", signedMessage(writer, "heartbeat", subject, body));
    };
    expect(say(identity)).toThrow(/a reader's/);
    expect(say({ ...proxy.current })).not.toThrow();
  });

  test("serves nobody: TLS clients refuse it as a server's", async () => {
    const { at, key, chain } = await stolen();
    const server = createServer({ key, cert: toPem(chain) }, (socket) => socket.end());
    server.on("tlsClientError", () => {});
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    cleanups.push(() => void server.close());
    const { port } = server.address() as { port: number };
    const failure = await new Promise<Error>((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", ca: at.authority.caPem, checkServerIdentity: () => undefined });
      socket.on("secureConnect", () => reject(new Error("it was taken for a server")));
      socket.on("error", resolve);
    });
    expect(failure.message).toMatch(/unsupported certificate purpose|unsuitable certificate purpose/);
  });

  test("cannot pass for one with another usage: who takes readers takes clients alone", () => {
    const key = generatePrivateKeyPem();
    const made = (more: object) =>
      issueCertificate(
        {
          serial: Buffer.alloc(16, 1),
          organization: "0102030405060708",
          commonName: "storefront-a",
          notBeforeMs: Date.now() - 1000,
          notAfterMs: Date.now() + 60_000,
          publicKey: publicKeyDer(key),
          uri: "spiffe://test-mesh/reader/storefront/storefront-a",
          isClientAlone: true,
          ...more,
        },
        { selfKey: createPrivateKey(key) },
      );
    expect(parseCallerSvid(made({})).reader?.proxyId).toBe("storefront-a");
    expect(() => parseCallerSvid(made({ isClientAlone: false }))).toThrow(/not clientAuth alone/);
    expect(() => parseCallerSvid(made({ organization: "" }))).toThrow(/names no certificate of its proxy/);
    expect(() => parseCallerSvid(made({ uri: "spiffe://test-mesh/service/storefront" }))).toThrow(/without both/);
  });
});

test.each([
  ["spiffe://m/reader/a/b", { service: "a", proxyId: "b" }],
  ["spiffe://m/reader/a", undefined],
  ["spiffe://m/reader/a/b/c", undefined],
  ["spiffe://m/service/a", undefined],
  ["spiffe://m/reader/A/b", undefined],
] as const)("%s is a reader's id or none", (id, name) => {
  expect(readerIn(id as never)).toEqual(name);
});
