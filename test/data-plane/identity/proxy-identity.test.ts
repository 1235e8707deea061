import { createHash, generateKeyPairSync } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { dayMs, openAuthority } from "../../../control-plane/identity/authority.js";
import { type OpenedIdentity, openIdentity } from "../../../data-plane/identity/proxy-identity.js";
import type { RenewRequest } from "../../../proto/gen/ashlar/v1/join.js";
import { JoinServiceService } from "../../../proto/gen/ashlar/v1/join.js";
import { type Clock, systemClock } from "../../../runtime/clock.js";
import { callUnary, connectGrpc } from "../../../runtime/grpc-client.js";
import { type Logger, silentLogger } from "../../../runtime/log.js";
import { readCertificate, readName } from "../../../runtime/tls-identity-der.js";
import { fromPem, signEcdsa } from "../../../runtime/tls-identity-keys.js";
import { buildCsr } from "../../../runtime/tls-identity-request.js";
import { type JoinMesh, random, startJoinMesh } from "../../support/join-mesh.js";
import { untilTrue } from "../../support/until.js";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "identity-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function shiftedClock(): Clock & { offsetMs: number } {
  const clock = { ...systemClock, offsetMs: 0, nowMs: () => Date.now() + clock.offsetMs };
  return clock;
}

async function mesh(clock: Clock = systemClock, more: Parameters<typeof startJoinMesh>[2] = {}): Promise<JoinMesh> {
  const started = await startJoinMesh(folder(), clock, more);
  cleanups.push(() => started.server.stop(0));
  return started;
}

interface Open {
  readonly dir?: string;
  readonly token?: string;
  readonly service?: string;
  readonly join?: { join: string; rootHash: string };
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly renewEveryMs?: number;
}

async function open(at: JoinMesh, options: Open): Promise<OpenedIdentity> {
  const controller = new AbortController();
  cleanups.push(() => controller.abort());
  return openIdentity(
    { clock: options.clock ?? systemClock, log: options.log ?? silentLogger, random: Math.random },
    {
      dir: options.dir ?? folder(),
      join: options.join ?? at.join,
      token: options.token,
      service: options.service ?? "payments",
      ...(options.renewEveryMs === undefined ? {} : { renewEveryMs: options.renewEveryMs }),
    },
    controller.signal,
  );
}

const tokenFor = (at: JoinMesh, more: object = {}) => at.tokens.createToken({ service: "payments", ...more }).token;

describe("joining", () => {
  test("a token gives an identity that names service, version and proxy, and the heads of the logs", async () => {
    const at = await mesh();
    const dir = folder();
    const identity = await open(at, { dir, token: tokenFor(at, { version: "v2" }) });
    const { current } = identity;
    expect(current).toMatchObject({ mesh: "test-mesh", service: "payments", version: "v2" });
    expect(current.spiffeId).toBe("spiffe://test-mesh/service/payments");
    expect(current.proxyId).toMatch(/^payments-[a-z2-7]{8}$/);
    expect(current.natsJwt).toContain(`:payments:${current.proxyId}:${current.notAfterMs}`);
    const [leaf = new Uint8Array()] = fromPem(current.certificateChainPem);
    expect(readName(readCertificate(leaf).subject)).toEqual({ organization: "v2", commonName: current.proxyId });
    expect(identity.bootstrap.trust).toEqual(at.ledger.trust.head()?.bytes);
    expect(identity.bootstrap.activation).toBeUndefined();
    expect(at.audit.at(-1)).toMatchObject({ action: "join", outcome: "ok", target: `proxy ${current.proxyId}` });
    for (const name of ["keys.json", "identity.json"]) {
      expect(statSync(join(dir, "identity", name)).mode & 0o777).toBe(0o600);
    }
  });

  test("a stored identity wins over the token, also without the control plane", async () => {
    const at = await mesh();
    const dir = folder();
    const token = tokenFor(at);
    const first = await open(at, { dir, token });
    await at.server.stop(0);
    const second = await open(at, { dir, token });
    expect(second.current).toEqual(first.current);
    expect((await open(at, { dir })).current.proxyId).toBe(first.current.proxyId);
  });

  test("a used token is refused for another key and honoured for the same one, with the same proxy id", async () => {
    const at = await mesh();
    const dir = folder();
    const token = tokenFor(at);
    const first = await open(at, { dir, token });
    await expect(open(at, { token })).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("used already"),
    });
    expect(at.audit.at(-1)).toMatchObject({ action: "join", outcome: "unauthenticated" });
    rmSync(join(dir, "identity", "identity.json")); // as if it crashed between join and save
    const again = await open(at, { dir, token });
    expect(again.current.proxyId).toBe(first.current.proxyId);
    expect(again.current.serial).not.toBe(first.current.serial);
  });

  test("an expired, an unknown and a broken token end with one line", async () => {
    const clock = shiftedClock();
    const at = await mesh(clock);
    const expired = tokenFor(at, { ttlMs: 1000 });
    clock.offsetMs = 2000;
    await expect(open(at, { token: expired })).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("expired at"),
    });
    const parts = tokenFor(at).split(".");
    parts[1] = "A".repeat(32);
    await expect(open(at, { token: parts.join(".") })).rejects.toMatchObject({
      code: "unauthenticated",
      message: "unknown token: only the control plane that made a token knows it",
    });
    await expect(open(at, { token: "hello" })).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(open(at, {})).rejects.toMatchObject({ message: expect.stringContaining("give --token") });
  });

  test("a token of another service is refused and stays good", async () => {
    const at = await mesh();
    const token = tokenFor(at);
    await expect(open(at, { token, service: "orders" })).rejects.toMatchObject({ code: "denied" });
    expect((await open(at, { token })).current.service).toBe("payments");
  });

  test("a wrong pin is refused before the token is sent", async () => {
    const at = await mesh();
    const other = openAuthority({ dir: folder(), mesh: "test-mesh", clock: systemClock, random });
    const parts = tokenFor(at).split(".");
    parts[2] = Buffer.from(other.rootHash, "hex").toString("base64url");
    const pinned = { join: at.join.join, rootHash: other.rootHash };
    await expect(open(at, { token: parts.join("."), join: pinned })).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("not the mesh that was pinned"),
    });
    await expect(open(at, { token: tokenFor(at), join: pinned })).rejects.toMatchObject({ code: "unauthenticated" });
    expect(at.audit).toEqual([]); // Join was never called
  });

  test.each([
    [
      "a certificate of another CA",
      () => ({ certificateOf: openAuthority({ dir: folder(), mesh: "test-mesh", clock: systemClock, random }) }),
    ],
    ["the certificate of a service of the mesh", () => ({ asService: true })],
  ])("a server with the mesh's trust log but %s gets no token", async (_name, impostor) => {
    const at = await mesh(systemClock, impostor());
    const warned: unknown[] = [];
    const log = { ...silentLogger, warn: (_line: string, fields?: object) => void warned.push(fields) };
    const dir = folder();
    const opening = open(at, { dir, token: tokenFor(at), log }).catch((error: Error) => error);
    await untilTrue(() => warned.length > 0);
    expect(at.audit).toEqual([]); // Join was never called
    await cleanups.pop()?.();
    expect(await opening).toMatchObject({ code: "unavailable" });
  });

  test("an unreachable control plane is said and tried again until it is there", async () => {
    const at = await mesh();
    const token = tokenFor(at);
    const { address } = at.server;
    await at.server.stop(0);
    const warned: string[] = [];
    const opening = open(at, { token, log: { ...silentLogger, warn: (line) => void warned.push(line) } });
    await untilTrue(() => warned.length > 0);
    expect(warned[0]).toBe(`cannot join at ${address}: trying again`);
    const { startGrpcServer } = await import("../../../runtime/grpc-server.js");
    const { ServerCredentials } = await import("@grpc/grpc-js");
    const own = at.authority.issueControlPlane({ name: "main", hosts: [] });
    const pair = { private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.chainPem) };
    const credentialsOf = ServerCredentials.createSsl(null, [pair]);
    const more = { log: silentLogger, clock: systemClock };
    const back = await startGrpcServer({ bind: address, credentials: credentialsOf, services: [at.service], ...more });
    cleanups.push(() => back.stop(0));
    expect((await opening).current.service).toBe("payments");
  });
});

describe("a data folder", () => {
  test("of another mesh, service or root is refused with a clear line", async () => {
    const [at, other] = [await mesh(), await mesh(systemClock, { mesh: "other-mesh" })];
    const dir = folder();
    await open(at, { dir, token: tokenFor(at) });
    const refused = (why: string) => ({ code: "invalid_argument", message: expect.stringContaining(why) });
    await expect(open(at, { dir, service: "orders" })).rejects.toMatchObject(refused("belongs to service payments"));
    await expect(open(other, { dir, token: tokenFor(other) })).rejects.toMatchObject(
      refused("belongs to mesh test-mesh, not other-mesh"),
    );
    await expect(open(other, { dir })).rejects.toMatchObject(refused("another root key"));
  });

  test("that was tampered with is refused: trust, certificate, key, version of the heads", async () => {
    const at = await mesh();
    const dir = folder();
    await open(at, { dir, token: tokenFor(at) });
    const path = join(dir, "identity", "identity.json");
    const good = JSON.parse(readFileSync(path, "utf8"));
    const foreign = await open(at, { token: tokenFor(at) });
    const changes: Record<string, unknown> = {
      trust: Buffer.from(Buffer.from(good.trust, "base64").map((byte, i) => (i === 200 ? byte ^ 1 : byte))).toString(
        "base64",
      ),
      certificateChain: fromPem(foreign.current.certificateChainPem).map((der) => Buffer.from(der).toString("base64")),
      freshness: good.trust,
      activation: good.trust,
      mesh: "else",
      natsServers: [],
      proxyId: 7,
    };
    for (const [field, value] of Object.entries(changes)) {
      writeFileSync(path, JSON.stringify({ ...good, [field]: value }));
      await expect(open(at, { dir })).rejects.toMatchObject({ code: "invalid_record" });
    }
    writeFileSync(path, "{");
    await expect(open(at, { dir })).rejects.toMatchObject({ code: "invalid_record" });
  });

  test("has its keys before the first contact", async () => {
    const at = await mesh();
    const dir = folder();
    await expect(open(at, { dir, token: "ashlar1.no" })).rejects.toThrow();
    expect(existsSync(join(dir, "identity", "keys.json"))).toBe(true);
  });
});

describe("renewal", () => {
  test("keeps proxy id, service and version, rotates the certificate and brings news of trust", async () => {
    const at = await mesh();
    const dir = folder();
    const identity = await open(at, { dir, token: tokenFor(at, { version: "v3" }) });
    const before = identity.current;
    const heard: string[] = [];
    identity.onRotate(({ serial }) => heard.push(serial));
    await at.changeTrust(() => ({ timeMs: 5 }));
    await identity.renew();
    expect(identity.current).toMatchObject({ proxyId: before.proxyId, version: "v3", service: "payments" });
    expect(heard).toEqual([identity.current.serial]);
    expect(heard[0]).not.toBe(before.serial);
    expect(identity.bootstrap.trust).toEqual(at.ledger.trust.head()?.bytes);
    expect((await open(at, { dir })).current).toEqual(identity.current);
    expect(at.audit.at(-1)).toMatchObject({ action: "renew", outcome: "ok" });
  });

  test("that cannot be put on disk is used, said, and on disk once there is room", async () => {
    const at = await mesh();
    const dir = folder();
    const identity = await open(at, { dir, token: tokenFor(at) });
    const { serial: before } = identity.current;
    const inTheWay = join(dir, "identity", "identity.json.new");
    mkdirSync(inTheWay);
    await identity.renew();
    expect(identity.current.serial).not.toBe(before);
    expect(identity.renewalProblem).toContain("the newest one is used and not on disk: cannot write");
    rmSync(inTheWay, { recursive: true });
    await identity.renew();
    expect(identity.renewalProblem).toBeUndefined();
    const { serial } = identity.current;
    expect((await open(at, { dir })).current.serial).toBe(serial);
  });

  test("runs by itself: certificates of three seconds stay valid for several lives", async () => {
    const at = await mesh(systemClock, { serviceTtlMs: 3000 });
    const identity = await open(at, { token: tokenFor(at) });
    let rotations = 0;
    let expiredAtRotation = 0;
    let ends = identity.current.notAfterMs;
    identity.onRotate(({ notAfterMs }) => {
      rotations += 1;
      if (Date.now() > ends + 1000) expiredAtRotation += 1;
      ends = notAfterMs;
    });
    await untilTrue(() => rotations >= 4);
    expect(expiredAtRotation).toBe(0);
  });

  test("an expired certificate renews within the grace at start, and not after it", async () => {
    const clock = shiftedClock();
    clock.offsetMs = -9 * dayMs;
    const at = await mesh(clock);
    const [inGrace, beyond] = [folder(), folder()];
    await open(at, { dir: beyond, token: tokenFor(at), clock });
    clock.offsetMs = -3 * dayMs;
    await open(at, { dir: inGrace, token: tokenFor(at), clock });
    clock.offsetMs = 0;
    const renewed = await open(at, { dir: inGrace });
    await untilTrue(() => renewed.current.notAfterMs > Date.now());
    const late = await open(at, { dir: beyond });
    await untilTrue(() => late.renewalProblem !== undefined);
    expect(late.renewalProblem).toContain("too long ago");
    expect(late.current.notAfterMs).toBeLessThan(Date.now());
  });

  test("a revoked certificate does not renew", async () => {
    const at = await mesh();
    const identity = await open(at, { token: tokenFor(at) });
    const { serial } = identity.current;
    await at.changeTrust(() => ({ revocations: [{ serial, reason: "lost", timeMs: 1 }] }));
    await expect(identity.renew()).rejects.toMatchObject({
      code: "unauthenticated",
      message: "the certificate is revoked",
    });
    expect(identity.renewalProblem).toBe("the certificate is revoked");
  });

  test("a renewal that was not due and may succeed later is no problem, one that is due is", async () => {
    const at = await mesh();
    const [early, due] = [folder(), folder()];
    const identity = await open(at, { dir: early, token: tokenFor(at) });
    await open(at, { dir: due, token: tokenFor(at) });
    await at.server.stop(0);
    await expect(identity.renew()).rejects.toMatchObject({ code: "unavailable" });
    expect(identity.renewalProblem).toBeUndefined();
    const late = await open(at, { dir: due, renewEveryMs: 1 });
    await untilTrue(() => late.renewalProblem !== undefined);
  });

  test("one that is revoked while it renews gets nothing", async () => {
    let revoke = async (): Promise<void> => {};
    const at = await mesh(systemClock, { whileIssuing: () => revoke() });
    const identity = await open(at, { token: tokenFor(at) });
    const { serial } = identity.current;
    revoke = () => at.changeTrust(() => ({ revocations: [{ serial, reason: "lost", timeMs: 1 }] }));
    await expect(identity.renew()).rejects.toMatchObject({ message: expect.stringContaining("was revoked") });
    expect(identity.current.serial).toBe(serial);
  });

  test("an older certificate of a proxy that was revoked does not renew, when those that were revoked have expired", async () => {
    const clock = shiftedClock();
    clock.offsetMs = -5 * dayMs;
    const at = await mesh(clock);
    const [dir, stolen] = [folder(), folder()];
    await open(at, { dir, token: tokenFor(at), clock });
    cpSync(dir, stolen, { recursive: true });
    clock.offsetMs = -3 * dayMs;
    const renewed = await open(at, { dir, clock });
    await untilTrue(() => renewed.current.notAfterMs > clock.nowMs());
    const { serial } = renewed.current;
    await at.changeTrust(() => ({ revocations: [{ serial, reason: "stolen", timeMs: 1 }] }));
    clock.offsetMs = 0;
    const thief = await open(at, { dir: stolen });
    await untilTrue(() => thief.renewalProblem !== undefined);
    expect(thief.renewalProblem).toContain("was revoked");
  });
});

describe("Renew against raw requests", () => {
  async function setUp() {
    const at = await mesh();
    const dir = folder();
    const identity = await open(at, { dir, token: tokenFor(at) });
    const client = connectGrpc({
      address: at.server.address,
      credentials: credentials.createSsl(Buffer.from(at.authority.caPem)),
      options: { "grpc.ssl_target_name_override": "localhost" }, // Node 26 takes no address for the name in TLS
    });
    cleanups.push(() => client.close());
    const { privateKeyPem, certificateChainPem } = identity.current;
    const keys = JSON.parse(readFileSync(join(dir, "identity", "keys.json"), "utf8"));
    const [leaf = new Uint8Array(), intermediate = new Uint8Array()] = fromPem(certificateChainPem);
    const build = async (
      changes: Partial<RenewRequest> = {},
      signWith: string = privateKeyPem,
    ): Promise<RenewRequest> => {
      const { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs: 5000 });
      const csr = changes.csr ?? Buffer.from(buildCsr(privateKeyPem));
      const signed = Buffer.concat([Buffer.from("ashlar-renew-v1"), nonce, createHash("sha256").update(csr).digest()]);
      return {
        certificate: Buffer.from(leaf),
        chain: [],
        csr,
        nonce,
        signature: Buffer.from(signEcdsa(signed, signWith)),
        natsUser: keys.natsUser,
        seenActivation: Buffer.alloc(0),
        seenEpoch: 0,
        trustSequence: 1,
        ...changes,
      };
    };
    const renew = (request: RenewRequest) => callUnary(client, JoinServiceService.renew, request, { timeoutMs: 5000 });
    return { at, identity, client, build, renew, intermediate };
  }

  test("a good request passes (a plain TLS client verifies the server by CA and name), and its nonce only once", async () => {
    const { build, renew } = await setUp();
    const request = await build();
    expect((await renew(request)).identity?.service).toBe("payments");
    await expect(renew(request)).rejects.toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("nonce"),
    });
  });

  test("a wrong signature, another nonce, another request, and certificates of others are refused", async () => {
    const { build, renew, at, intermediate } = await setUp();
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" })
      .privateKey.export({ format: "pem", type: "pkcs8" })
      .toString();
    const refused = { code: "unauthenticated" };
    await expect(renew(await build({}, other))).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining("signature"),
    });
    await expect(renew(await build({ nonce: Buffer.alloc(32) }))).rejects.toMatchObject(refused);
    const swapped = { ...(await build()), csr: Buffer.from(buildCsr(other)) };
    await expect(renew(swapped)).rejects.toMatchObject(refused);
    const operator = at.authority.issueOperator({ name: "alice" });
    const [operatorLeaf = new Uint8Array()] = operator.chainDer;
    const asOperator = await build({ certificate: Buffer.from(operatorLeaf) }, operator.privateKeyPem);
    await expect(renew(asOperator)).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining("only a service"),
    });
    const foreign = openAuthority({ dir: folder(), mesh: "test-mesh", clock: systemClock, random });
    const [foreignLeaf = new Uint8Array()] = foreign.issueOperator({ name: "alice" }).chainDer;
    await expect(renew(await build({ certificate: Buffer.from(foreignLeaf) }))).rejects.toMatchObject(refused);
    await expect(renew(await build({ certificate: Buffer.from(intermediate) }))).rejects.toMatchObject(refused);
    await expect(renew(await build({ certificate: Buffer.from("junk") }))).rejects.toMatchObject(refused);
  });

  test("requests that are no requests are invalid_argument, and an oversized message is limit", async () => {
    const { build, renew } = await setUp();
    await expect(renew(await build({ csr: Buffer.from("junk") }))).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(renew(await build({ natsUser: "UNOTAKEY" }))).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(renew(await build({ csr: Buffer.alloc(100_000) }))).rejects.toMatchObject({ code: "limit" });
  });
});
