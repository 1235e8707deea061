import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { type Authority, dayMs, openAuthority } from "../../../control-plane/identity/authority.js";
import { readMeshOf } from "../../../control-plane/identity/authority-file.js";
import { openIssuedCertificates } from "../../../control-plane/identity/issued-certificates.js";
import { openJoinTokens } from "../../../control-plane/identity/join-tokens.js";
import { Nonces } from "../../../control-plane/identity/nonces.js";
import { SourceLimiter } from "../../../control-plane/identity/source-limiter.js";
import { rootKeySet, signTrust, verifyTrust } from "../../../core/wire/records.js";
import { GetNonceResponse, JoinServiceService } from "../../../proto/gen/ashlar/v1/join.js";
import { systemClock } from "../../../runtime/clock.js";
import { callUnary, connectGrpc } from "../../../runtime/grpc-client.js";
import { bindService, type CallContext, requireCaller, unary } from "../../../runtime/grpc-handlers.js";
import { startGrpcServer } from "../../../runtime/grpc-server.js";
import { silentLogger } from "../../../runtime/log.js";
import { checkRevocation, parseSvid, verifySvidChain } from "../../../runtime/tls-identity.js";
import { generatePrivateKeyPem } from "../../../runtime/tls-identity-keys.js";
import { buildCsr, parseCsr } from "../../../runtime/tls-identity-request.js";
import { random } from "../../support/join-mesh.js";
import { ManualClock } from "../../support/manual-clock.js";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "authority-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const open = (dir: string, mesh = "test-mesh", clock = systemClock): Authority =>
  openAuthority({ dir, mesh, clock, random });
const serviceRequest = () => ({
  service: "payments",
  version: "v1",
  proxyId: "payments-abcdefgh",
  publicKey: parseCsr(buildCsr(generatePrivateKeyPem())).publicKey,
});
const rootsOf = (authority: Authority) => (domain: string) => (domain === authority.mesh ? [authority.caDer] : []);

describe("the authority", () => {
  test("keeps its keys over restarts, in a file that only its owner reads", () => {
    const dir = folder();
    const first = open(dir);
    const second = open(dir);
    expect(second.rootHash).toBe(first.rootHash);
    expect(second.signer.kid).toBe(first.signer.kid);
    expect(second.caPem).toBe(first.caPem);
    expect(statSync(join(dir, "identity", "authority.json")).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, "identity")).mode & 0o777).toBe(0o700);
    expect(readMeshOf(dir)).toBe("test-mesh");
    expect(first.rootHash).toBe(createHash("sha256").update(first.rootPublicKey).digest("hex"));
  });

  test("refuses a folder of another mesh, a damaged file and a name that is none", () => {
    const dir = folder();
    open(dir);
    expect(() => open(dir, "other")).toThrow(/belongs to mesh test-mesh, not other/);
    const path = join(dir, "identity", "authority.json");
    const stored = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...stored, rootKey: stored.ca.privateKey }));
    expect(() => open(dir)).toThrow(/is damaged/);
    for (const mesh of ["", "UPPER", "a b", "a/b", "-a"])
      expect(() => open(folder(), mesh)).toThrow(/not a name for a mesh/);
  });

  test("signs a first trust record that verifies under its root key alone", () => {
    const authority = open(folder());
    const signed = signTrust(authority.firstTrust(), "test-mesh", authority.rootSigner);
    expect(verifyTrust(signed.bytes, "test-mesh", rootKeySet(authority.rootPublicKey)).body.sequence).toBe(1);
    expect(() => verifyTrust(signed.bytes, "test-mesh", rootKeySet(open(folder()).rootPublicKey))).toThrow();
    const daily = signTrust(authority.firstTrust(), "test-mesh", authority.signer);
    expect(() => verifyTrust(daily.bytes, "test-mesh", rootKeySet(authority.rootPublicKey))).toThrow(/not trusted/);
  });

  test("issues certificates that obey the SPIFFE rules, with random positive serials", () => {
    const authority = open(folder());
    const serials = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const issued = authority.issueService(serviceRequest());
      const svid = verifySvidChain(issued.chainDer, rootsOf(authority), Date.now());
      expect(svid).toMatchObject({
        spiffeId: "spiffe://test-mesh/service/payments",
        serial: issued.serial,
        notAfterMs: issued.notAfterMs,
      });
      expect(issued.serial).toMatch(/^[4-7][0-9a-f]{31}$/);
      serials.add(issued.serial);
      expect(svid.notAfterMs - Date.now()).toBeLessThanOrEqual(dayMs);
      const behindMs = 4.9 * 60_000; // the clock of whoever looks at it
      expect(() => verifySvidChain(issued.chainDer, rootsOf(authority), Date.now() - behindMs)).not.toThrow();
    }
    expect(serials.size).toBe(20);
    expect(parseSvid(authority.issueOperator({ name: "alice" }).chainDer[0] ?? new Uint8Array()).spiffeId).toBe(
      "spiffe://test-mesh/operator/alice",
    );
  });

  test("openssl verifies the chain with its strictest checks, and the server's names are there", () => {
    const authority = open(folder());
    const own = authority.issueControlPlane({
      name: "main",
      hosts: ["10.1.2.3", "2001:db8::7", "cp.example.org", "0.0.0.0"],
    });
    const dir = folder();
    const [leaf = new Uint8Array(), intermediate = new Uint8Array()] = own.chainDer;
    const pem = (der: Uint8Array) => new X509Certificate(der).toString();
    writeFileSync(join(dir, "root.pem"), authority.caPem);
    writeFileSync(join(dir, "mid.pem"), pem(intermediate));
    writeFileSync(join(dir, "leaf.pem"), pem(leaf));
    const out = execFileSync(
      "openssl",
      ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "root.pem", "-untrusted", "mid.pem", "leaf.pem"],
      { cwd: dir },
    );
    expect(out.toString()).toContain("leaf.pem: OK");
    const certificate = new X509Certificate(leaf);
    for (const ip of ["127.0.0.1", "::1", "10.1.2.3", "2001:db8::7"]) expect(certificate.checkIP(ip)).toBeDefined();
    expect(certificate.checkIP("0.0.0.0")).toBeUndefined();
    expect(certificate.checkHost("localhost")).toBe("localhost");
    expect(certificate.checkHost("cp.example.org")).toBe("cp.example.org");
  });

  test("replaces its intermediate in good time, keeps it on disk, and still knows what the old one issued", () => {
    const clock = new ManualClock(Date.now());
    const dir = folder();
    const authority = openAuthority({ dir, mesh: "test-mesh", clock, random });
    const old = authority.issueOperator({ name: "alice" });
    void clock.advance(260 * dayMs);
    const fresh = authority.issueService(serviceRequest());
    expect(fresh.chainDer[1]).not.toEqual(old.chainDer[1]);
    const reopened = openAuthority({ dir, mesh: "test-mesh", clock, random });
    expect(reopened.issueService(serviceRequest()).chainDer[1]).toEqual(fresh.chainDer[1]);
    const [oldLeaf = new Uint8Array()] = old.chainDer;
    expect(reopened.verifyIssued(oldLeaf, old.notAfterMs).serial).toBe(old.serial);
    expect(() => open(folder()).verifyIssued(oldLeaf, Date.now())).toThrow();
  });
});

describe("join tokens", () => {
  const setUp = (clock = new ManualClock()) => {
    const dir = folder();
    const make = () => openJoinTokens({ dir, mesh: "test-mesh", rootHash: "ab".repeat(32), clock, random });
    return { dir, clock, make, tokens: make() };
  };
  const name = (service: string) => `${service}-${Buffer.from(random(4)).toString("hex")}`;

  test("survive restarts without their secret on disk", () => {
    const { dir, make, tokens } = setUp();
    const { token, version } = tokens.createToken({ service: "payments" });
    expect(version).toBe("v1");
    const onDisk = readFileSync(join(dir, "identity", "tokens.json"), "utf8");
    expect(onDisk).not.toContain(token.split(".")[1]);
    const first = make().redeem(token, "key-1", name);
    expect(make().redeem(token, "key-1", name)).toEqual(first);
    expect(() => make().redeem(token, "key-2", name)).toThrow(/used already/);
  });

  test("allow as many keys as they have uses, and the same key as often as it likes until they expire", async () => {
    const { clock, tokens } = setUp();
    const { token } = tokens.createToken({ service: "payments", uses: 2, ttlMs: 1000, version: "v2" });
    const ids = ["a", "b", "a", "b"].map((key) => tokens.redeem(token, key, name).proxyId);
    expect(new Set(ids).size).toBe(2);
    expect(() => tokens.redeem(token, "c", name)).toThrow(/used already/);
    await clock.advance(1000);
    expect(() => tokens.redeem(token, "a", name)).toThrow(/expired at/);
    await clock.advance(dayMs);
    tokens.createToken({ service: "payments" }); // purges
    expect(() => tokens.redeem(token, "a", name)).toThrow("unknown token");
  });

  test("of another mesh or root, and requests out of bounds, are refused", () => {
    const { tokens } = setUp();
    const { token } = tokens.createToken({ service: "payments" });
    expect(() => tokens.redeem(token.replace("test-mesh", "other"), "a", name)).toThrow(/unknown token/);
    for (const bad of [
      { service: "No" },
      { service: "a", ttlMs: 0 },
      { service: "a", uses: 0 },
      { service: "a", version: "" },
      { service: "a", ttlMs: 31 * dayMs },
    ]) {
      expect(() => tokens.createToken(bad)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    }
  });

  test("checking uses nothing up, and a thumbprint is never mistaken for an object's own property", () => {
    const { tokens } = setUp();
    const { token } = tokens.createToken({ service: "payments" });
    expect(tokens.check(token, "a").proxyId).toBeUndefined();
    expect(tokens.check(token, "constructor").proxyId).toBeUndefined();
    tokens.redeem(token, "a", name);
    expect(() => tokens.check(token, "__proto__")).toThrow(/used already/);
  });
});

describe("bounds of the join listener", () => {
  test("nonces are good once and for a minute, and the oldest goes when there are too many", async () => {
    const clock = new ManualClock();
    const nonces = new Nonces(clock, random, 2);
    const [first, second] = [nonces.create(), nonces.create()];
    expect(nonces.take(second)).toBe(true);
    expect(nonces.take(second)).toBe(false);
    expect(nonces.take(first)).toBe(true);
    const late = nonces.create();
    await clock.advance(60_000);
    expect(nonces.take(late)).toBe(false);
    const [a, b, c] = [nonces.create(), nonces.create(), nonces.create()];
    expect([nonces.take(a), nonces.take(b), nonces.take(c)]).toEqual([false, true, true]);
  });

  test("a source that asks too often is refused until its bucket fills; others are not", async () => {
    const clock = new ManualClock();
    const limiter = new SourceLimiter(clock, { burst: 2, perSecond: 1, sourcesMax: 3 });
    limiter.admit("10.0.0.1:1");
    limiter.admit("10.0.0.1:2");
    expect(() => limiter.admit("10.0.0.1:3")).toThrow(expect.objectContaining({ code: "limit" }));
    limiter.admit("10.0.0.2:1");
    await clock.advance(1000);
    limiter.admit("10.0.0.1:4");
    for (let i = 0; i < 100; i++) limiter.admit(`10.0.1.${i}:1`);
    for (const end of [1, 2]) limiter.admit(`2001:db8:0:7::${end}:4000`); // whoever has one address of a /64 has all
    expect(() => limiter.admit("2001:db8:0:7:9::3:4000")).toThrow(expect.objectContaining({ code: "limit" }));
  });

  test("issued certificates are found after a restart, and forgotten a week after they expired", async () => {
    const clock = new ManualClock();
    const dir = folder();
    const issued = openIssuedCertificates({ dir, clock });
    issued.add({ serial: "01", proxyId: "payments-a", service: "payments", notAfterMs: clock.nowMs() + dayMs });
    writeFileSync(
      join(dir, "identity", "issued.jsonl"),
      `${readFileSync(join(dir, "identity", "issued.jsonl"))}{"serial":"02","pro`,
    );
    const again = openIssuedCertificates({ dir, clock });
    expect(again.find("01")?.proxyId).toBe("payments-a");
    expect(again.serialsOf("payments-a")).toEqual(["01"]);
    await clock.advance(9 * dayMs);
    expect(again.serialsOf("payments-a")).toEqual([]);
    expect(openIssuedCertificates({ dir, clock }).find("01")).toBeUndefined();
  });
});

describe("mutual TLS on the admin side", () => {
  async function start(authority: Authority, revoked: ReadonlySet<string> = new Set()) {
    const own = authority.issueControlPlane({ name: "main", hosts: ["127.0.0.1"] });
    const contexts: CallContext[] = [];
    const refuse = unary<never, never>(() => {
      throw new Error("unused");
    });
    const service = bindService(JoinServiceService, {
      ...({ getTrust: refuse, join: refuse, renew: refuse, offer: refuse, issueReader: refuse } as unknown as Record<
        "getTrust" | "join" | "renew" | "offer" | "issueReader",
        never
      >),
      getNonce: unary((_request, context) => {
        contexts.push(context);
        return GetNonceResponse.fromPartial({ nonce: Buffer.from(requireCaller(context)) });
      }),
    });
    const server = await startGrpcServer({
      bind: "127.0.0.1:0",
      credentials: ServerCredentials.createSsl(
        Buffer.from(authority.caPem),
        [{ private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.chainPem) }],
        true,
      ),
      services: [service],
      verifyPeer: (der, nowMs) =>
        checkRevocation(authority.verifyIssued(der, nowMs), { isRevoked: (serial) => revoked.has(serial) }),
      log: silentLogger,
      clock: systemClock,
      health: [],
    });
    cleanups.push(() => server.stop(0));
    const call = async (identity?: { privateKeyPem: string; chainPem: string }) => {
      const [key, chain] =
        identity === undefined ? [null, null] : [Buffer.from(identity.privateKeyPem), Buffer.from(identity.chainPem)];
      const client = connectGrpc({
        address: server.address,
        credentials: credentials.createSsl(Buffer.from(authority.caPem), key, chain),
        options: { "grpc.ssl_target_name_override": "localhost" }, // Node 26 takes no address for the name in TLS
      });
      try {
        return (await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs: 5000 })).nonce.toString();
      } finally {
        client.close();
      }
    };
    return { call, contexts, server };
  }

  test("the caller is the SPIFFE ID of its certificate; none, another mesh's and a revoked one are refused", async () => {
    const authority = open(folder());
    const [alice, mallory] = [authority.issueOperator({ name: "alice" }), authority.issueOperator({ name: "mallory" })];
    const { call, contexts } = await start(authority, new Set([mallory.serial]));
    expect(await call(alice)).toBe("spiffe://test-mesh/operator/alice");
    expect(contexts[0]).toMatchObject({ certificateSerial: alice.serial, caller: alice.spiffeId });
    await expect(call(mallory)).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("revoked"),
    });
    await expect(call()).rejects.toMatchObject({ code: "unavailable" });
    await expect(call(open(folder()).issueOperator({ name: "alice" }))).rejects.toMatchObject({ code: "unavailable" });
    expect(contexts).toHaveLength(1);
  });

  test("a plain gRPC client in Python verifies the server by CA and address, and is known by its certificate", async () => {
    const authority = open(folder());
    const alice = authority.issueOperator({ name: "alice" });
    const { server } = await start(authority);
    const dir = folder();
    const files = { "ca.pem": authority.caPem, "key.pem": alice.privateKeyPem, "chain.pem": alice.chainPem };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
    const script = `
import grpc, sys
read = lambda name: open(name, "rb").read()
creds = grpc.ssl_channel_credentials(read("ca.pem"), read("key.pem"), read("chain.pem"))
with grpc.secure_channel(sys.argv[1], creds) as channel:
    call = channel.unary_unary("/ashlar.v1.JoinService/GetNonce")
    print(call(b"", timeout=10)[2:].decode())
    try: channel.unary_unary("/ashlar.v1.JoinService/Join")(b"", timeout=10)
    except grpc.RpcError as error:
        print(error.code().name, error.details(), dict(error.trailing_metadata())["grpc-status-details-bin"].find(b"ashlar.dev") > 0)
`;
    const { execFile } = await import("node:child_process");
    const out = await new Promise<string>((resolve, reject) =>
      execFile("/usr/bin/python3", ["-c", script, server.address], { cwd: dir }, (error, stdout, stderr) =>
        error ? reject(new Error(stderr)) : resolve(stdout),
      ),
    );
    expect(out.split("\n").slice(0, 2)).toEqual(["spiffe://test-mesh/operator/alice", "INTERNAL internal error True"]);
  });
});
