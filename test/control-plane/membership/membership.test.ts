/** A second control plane joins the first over its real join listener; NATS and the ledger are in memory. */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { createAccount } from "@nats-io/nkeys";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { buildFreshness } from "../../../control-plane/freshness/freshness-loop.js";
import { openAuthority } from "../../../control-plane/identity/authority.js";
import { createJoinLimiter, createJoinService } from "../../../control-plane/identity/join-service.js";
import { openJoinTokens } from "../../../control-plane/identity/join-tokens.js";
import { Nonces } from "../../../control-plane/identity/nonces.js";
import { openMemberKeys, readPlace, storePlace } from "../../../control-plane/membership/member-files.js";
import { openMembers } from "../../../control-plane/membership/members.js";
import { joinAsControlPlane, renewMembership } from "../../../control-plane/membership/membership-client.js";
import { createMembershipService } from "../../../control-plane/membership/membership-service.js";
import { refreshPlace } from "../../../control-plane/membership/place.js";
import { accountOf } from "../../../control-plane/nats/nats-keys.js";
import { signTrust } from "../../../core/wire/records.js";
import { openIdentity } from "../../../data-plane/identity/proxy-identity.js";
import { systemClock } from "../../../runtime/clock.js";
import { startGrpcServer } from "../../../runtime/grpc-server.js";
import { silentLogger } from "../../../runtime/log.js";
import type { NatsAccount } from "../../../runtime/nats-accounts.js";
import { parseSvid } from "../../../runtime/tls-identity.js";
import { buildCsr, fromPem, generatePrivateKeyPem, parseCsr } from "../../../runtime/tls-identity-issue.js";
import { random } from "../../support/join-mesh.js";
import { PlainLedger } from "../../support/plain-ledger.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
const folder = (): string => {
  const dir = mkdtempSync(join(tmpdir(), "ash-member-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};
const clock = systemClock;
const signal = new AbortController().signal;
const mesh = "test-mesh";

/** The first control plane's join listener, or (with another authority's folder) a further one's. */
async function startListener(dir = folder(), ledger = new PlainLedger()) {
  const authority = openAuthority({ dir, mesh, clock, random });
  if (authority.holdsRoot) await ledger.trust.append(signTrust(authority.firstTrust(), mesh, authority.rootSigner));
  const { rootHash } = authority;
  const tokens = openJoinTokens({ dir, mesh, rootHash, clock, random });
  const seen: AuditDraft[] = [];
  const audit = { record: async (draft: AuditDraft) => void seen.push(draft) };
  const account = (): NatsAccount => accountOf(Buffer.from(createAccount().getSeed()).toString("ascii"));
  const accounts = { mesh: account(), proxies: account() };
  const shared = { nonces: new Nonces(clock, random), limiter: createJoinLimiter(clock) };
  const members = openMembers(dir, () => {});
  const nats = { servers: ["nats://127.0.0.1:4222"], accounts };
  const base = { authority, tokens, ledger, audit, clock, ...shared };
  const joining = createJoinService({
    hasDirectReads: async () => false,
    takeOffer: async () => [],
    ...base,
    issued: { add: () => {}, find: () => undefined, serialsOf: () => [], usersOf: () => [] },
    freshness: () => buildFreshness({ mesh, ledger, signer: authority.signer, clock }).bytes,
    natsUserJwt: async () => "jwt",
    natsServers: () => nats.servers,
    natsCaPem: "",
    log: silentLogger,
    random,
  });
  const own = authority.issueControlPlane({ name: authority.name, hosts: [] });
  const server = await startGrpcServer({
    bind: "127.0.0.1:0",
    credentials: ServerCredentials.createSsl(null, [
      { private_key: Buffer.from(own.privateKeyPem), cert_chain: Buffer.from(own.chainPem) },
    ]),
    services: [joining, createMembershipService({ ...base, members, nats })],
    log: silentLogger,
    clock,
  });
  members.setOwn(server.address);
  cleanups.push(() => server.stop(0));
  const stop = () => server.stop(0);
  const contact = { address: server.address, rootHash, clock };
  const tokenFor = (name: string) => tokens.createToken({ controlPlane: name }).token;
  return { authority, ledger, tokens, tokenFor, contact, accounts, members, seen, stop };
}

type First = Awaited<ReturnType<typeof startListener>>;

async function joinSecond(first: First, dir = folder(), token = first.tokenFor("second")) {
  const keys = openMemberKeys(dir);
  const place = await joinAsControlPlane(first.contact, { token, keys, mesh }, signal);
  storePlace(dir, place, keys, first.contact.rootHash);
  return { dir, place, authority: openAuthority({ dir, mesh, clock, random }) };
}

describe("a further control plane", () => {
  test("whose place is of an earlier version, with one NATS account, learns of both before it connects to NATS", async () => {
    const first = await startListener();
    const { dir, authority } = await joinSecond(first);
    const path = join(dir, "identity", "membership.json");
    const { natsAccounts, ...rest } = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...rest, natsAccount: natsAccounts.proxies }));
    const former = readPlace(dir);
    if (former === undefined) throw new Error("no place");
    expect(former.natsAccounts).toEqual({ mesh: first.accounts.proxies, proxies: first.accounts.proxies });
    const deps = { dir, clock, log: silentLogger, authority };
    expect((await refreshPlace(former, deps, signal)).natsAccounts).toEqual(first.accounts);
    expect(readPlace(dir)?.natsAccounts).toEqual(first.accounts);
    await first.stop();
    expect(await refreshPlace(former, deps, signal)).toEqual(former); // nobody answers: what is known goes on
  });

  test("gets an intermediate CA, a delegated key and NATS, and holds no root key", async () => {
    const first = await startListener();
    const { dir, authority } = await joinSecond(first);
    expect(readPlace(dir)?.natsAccounts).toEqual(first.accounts);
    expect([authority.name, authority.holdsRoot, authority.rootHash]).toEqual([
      "second",
      false,
      first.contact.rootHash,
    ]);
    expect(() => authority.rootSigner).toThrow(/does not hold the mesh's root key/);
    const keys = first.ledger.trust.head()?.body.signingKeys ?? [];
    expect(keys.map(({ holder }) => holder).sort()).toEqual(["main", "second"]);
    expect(keys.some(({ kid }) => kid === authority.signer.kid)).toBe(true);
    expect(first.seen.map(({ action, target, outcome }) => [action, target, outcome])).toEqual([
      ["join", "control plane second", "ok"],
    ]);
  });

  test("issues certificates that the others verify by their chain, and by nothing less", async () => {
    const first = await startListener();
    const second = (await joinSecond(first)).authority;
    const { publicKey } = parseCsr(buildCsr(generatePrivateKeyPem()));
    for (const [by, at] of [
      [first.authority, second],
      [second, first.authority],
    ] as const) {
      const issued = by.issueService({ service: "payments", version: "v1", proxyId: "payments-a", publicKey });
      const [leaf = new Uint8Array(), ...chain] = issued.chainDer;
      expect(at.verifyIssued(leaf, Date.now(), chain)).toEqual(parseSvid(leaf));
      expect(() => at.verifyIssued(leaf, Date.now())).toThrow(/certificate/);
      expect(() => at.verifyIssued(leaf, Date.now(), [at.caDer])).toThrow(/certificate/);
    }
  });

  test("that tries again with the same keys is given the same place; with other keys the token is used", async () => {
    const first = await startListener();
    const token = first.tokenFor("second");
    const dir = folder();
    const keys = openMemberKeys(dir);
    await joinAsControlPlane(first.contact, { token, keys, mesh }, signal);
    const sequence = first.ledger.trust.head()?.body.sequence;
    await joinAsControlPlane(first.contact, { token, keys: openMemberKeys(dir), mesh }, signal);
    expect(first.ledger.trust.head()?.body.sequence).toBe(sequence);
    for (const other of [
      openMemberKeys(folder()),
      { ...keys, signingKey: generateKeyPairSync("ed25519").privateKey },
      { ...keys, caKeyPem: generatePrivateKeyPem() },
    ]) {
      const again = joinAsControlPlane(first.contact, { token, keys: other, mesh }, signal);
      await expect(again).rejects.toMatchObject({ code: expect.stringMatching(/unauthenticated|exists/) });
    }
  });

  test("with a name that is taken is refused, and its token stays good", async () => {
    const first = await startListener();
    const token = first.tokenFor("main");
    const keys = openMemberKeys(folder());
    const asMain = joinAsControlPlane(first.contact, { token, keys, mesh }, signal);
    await expect(asMain).rejects.toMatchObject({ code: "exists" });
    expect(first.tokens.check(token, "x")).toMatchObject({ controlPlane: "main", proxyId: undefined });
  });

  test("with a proxy's token, another pin or at a control plane without the root key is refused", async () => {
    const first = await startListener();
    const { dir } = await joinSecond(first);
    const second = await startListener(dir, first.ledger);
    const keys = openMemberKeys(folder());
    const proxyToken = first.tokens.createToken({ service: "payments" }).token;
    const token = first.tokenFor("third");
    for (const [contact, given, code] of [
      [first.contact, proxyToken, "denied"],
      [{ ...first.contact, rootHash: "0".repeat(64) }, token, "unauthenticated"],
      [second.contact, token, "unavailable"],
    ] as const) {
      await expect(joinAsControlPlane(contact, { token: given, keys, mesh }, signal)).rejects.toMatchObject({ code });
    }
  });

  test("renews its place by its signing key, and says where it listens", async () => {
    const first = await startListener();
    const { authority } = await joinSecond(first);
    const prover = { signer: authority.signer, caKeyPem: generatePrivateKeyPem() };
    const place = await renewMembership(first.contact, { prover, joinAddress: "10.0.0.2:7421" }, signal);
    expect(place.joinAddresses).toEqual([first.contact.address, "10.0.0.2:7421"]);
    expect(place.name).toBe("second");
    const signer = { ...authority.signer, sign: first.authority.signer.sign };
    const forged = renewMembership(first.contact, { prover: { ...prover, signer }, joinAddress: "x:1" }, signal);
    await expect(forged).rejects.toMatchObject({ code: "unauthenticated" });
    const stranger = { ...prover, signer: first.authority.signer };
    const asFirst = renewMembership(first.contact, { prover: stranger, joinAddress: "x:1" }, signal);
    await expect(asFirst).rejects.toMatchObject({ code: "unauthenticated" });
    expect(first.members.addresses()).toHaveLength(2);
  });

  test("renews the certificates of proxies that joined at the first one, when that is gone", async () => {
    const first = await startListener();
    const { dir, authority } = await joinSecond(first);
    const second = await startListener(dir, first.ledger);
    const { rootHash } = first.contact;
    const life = new AbortController();
    const identity = await openIdentity(
      { clock, log: silentLogger, random: Math.random },
      {
        dir: folder(),
        join: { join: `${first.contact.address},${second.contact.address}`, rootHash },
        token: first.tokens.createToken({ service: "payments" }).token,
        service: "payments",
      },
      life.signal,
    );
    cleanups.push(() => life.abort());
    await first.stop();
    const before = identity.current;
    await identity.renew();
    expect(identity.current.proxyId).toBe(before.proxyId);
    expect(identity.current.serial).not.toBe(before.serial);
    const [leaf = new Uint8Array()] = fromPem(identity.current.certificateChainPem);
    expect(authority.verifyIssued(leaf, Date.now()).serial).toBe(identity.current.serial);
    await identity.renew();
    expect(second.seen.filter(({ action, outcome }) => action === "renew" && outcome === "ok")).toHaveLength(2);
  });
});
