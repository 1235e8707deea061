/** Issuers of tokens at a control plane: keys over https, in the trust log, and read again. */
import { generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { fetchJwks, parseJwksUrl } from "../../../control-plane/issuers/fetch-jwks.js";
import { createIssuers, type IssuerDraft } from "../../../control-plane/issuers/issuers.js";
import { retryMsMin, runRefresh } from "../../../control-plane/issuers/refresh-loop.js";
import { AshlarError } from "../../../core/errors.js";
import type { Trust } from "../../../core/model.js";
import { createSigner } from "../../../core/signature.js";
import { mayTrust } from "../../../core/trust.js";
import { signTrust } from "../../../core/wire/records.js";
import { silentLogger } from "../../../runtime/log.js";
import { isPublicAddress } from "../../../runtime/public-address.js";
import { toPem } from "../../../runtime/tls-identity-keys.js";
import { basic, dnsName, extended, extendedUsage, makeCertificate, san } from "../../support/certificates.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { PlainLog } from "../../support/plain-ledger.js";
import { buildTrust, createTestKey } from "../../support/records.js";
import { makeTokenKey, TestTokenIssuer } from "../../support/token-issuer.js";

const mesh = "test";
const operator = { id: "spiffe://test/operator/admin", source: "127.0.0.1" };
const never = new AbortController().signal;

describe("a key set's URL", () => {
  test.each([
    "http://a.example/jwks",
    "https://user:pass@a.example/",
    "https://a.example/#x",
    "file:///etc/passwd",
    "x",
  ])("%s is refused", (url) => expect(() => parseJwksUrl(url)).toThrow(/https, without user/));

  test.each([
    ...["127.0.0.1", "10.1.2.3", "169.254.169.254", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"],
    ...[
      "::1",
      "::",
      "fe80::1",
      "fe80::1%eth0",
      "fd00::1",
      "::ffff:127.0.0.1",
      "64:ff9b::7f00:1",
      "2002:7f00:1::",
      "ff02::1",
    ],
  ])("%s is no public address", (address) => expect(isPublicAddress(address)).toBe(false));

  test.each(["93.184.216.34", "172.32.0.1", "2606:2800:220:1::1"])("%s is one", (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
});

describe("reading a key set over https", () => {
  const issuer = new TestTokenIssuer();
  const certificate = makeCertificate({
    name: "keys.example",
    extensions: [basic(true), extended(extendedUsage.server), san(dnsName("keys.example"))],
  });
  const ca = toPem([certificate.der]);
  let server: Server;
  let url: string;
  let answer = (): { status: number; body: string; location?: string } => ({ status: 200, body: issuer.jwks() });
  const local = async () => [{ address: "127.0.0.1", family: 4 }];
  const fetch = (more = {}, resolve = local) =>
    fetchJwks({ url, allowPrivateAddress: true, ca, ...more }, resolve, never);

  beforeEach(async () => {
    answer = () => ({ status: 200, body: issuer.jwks() });
    server = createServer({ key: certificate.keyPem, cert: ca }, (_request, response) => {
      const { status, body, location } = answer();
      response.writeHead(status, location === undefined ? {} : { location }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `https://keys.example:${(server.address() as AddressInfo).port}/jwks`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test("gives what is served, at the address that was checked, to the name of the URL", async () => {
    expect(await fetch()).toBe(issuer.jwks());
    await expect(fetch({ ca: "" })).rejects.toThrow(/cannot be read/);
    await expect(fetch({ url: url.replace("keys", "other") })).rejects.toThrow(/cannot be read/);
  });

  test("refuses addresses that are not public, whatever the name, unless they are allowed", async () => {
    await expect(fetch({ allowPrivateAddress: false })).rejects.toThrow(/127\.0\.0\.1, which is no public address/);
    const mixed = async () => [
      { address: "93.184.216.34", family: 4 },
      { address: "::1", family: 6 },
    ];
    await expect(fetch({ allowPrivateAddress: false }, mixed)).rejects.toThrow(/::1, which is no public/);
    const direct = { url: "https://169.254.169.254/latest", allowPrivateAddress: false };
    await expect(fetch(direct)).rejects.toThrow(/no public address/);
  });

  test("follows no redirect, and takes nothing but a 200 of at most 64 KiB", async () => {
    answer = () => ({ status: 302, body: "", location: "https://evil.example/" });
    await expect(fetch()).rejects.toThrow(/HTTP 302; redirects are not followed/);
    answer = () => ({ status: 500, body: "" });
    await expect(fetch()).rejects.toThrow(/HTTP 500/);
    answer = () => ({ status: 200, body: "x".repeat(65_537) });
    await expect(fetch()).rejects.toThrow(/more than 65536/);
  });
});

describe("issuers", () => {
  const issuer = new TestTokenIssuer();
  let clock: ManualClock;
  let log: PlainLog<Trust>;
  let served: () => string;
  let fetches: number[];
  let noted: string[];

  function open(holdsRoot = true) {
    const { privateKey } = generateKeyPairSync("ed25519");
    const rootSigner = createSigner(privateKey);
    clock = new ManualClock();
    log = new PlainLog<Trust>(mayTrust);
    void log.append(signTrust(buildTrust([createTestKey()]), mesh, rootSigner));
    return createIssuers({
      authority: { mesh, holdsRoot, rootSigner },
      ledger: { trust: log },
      fetch: async () => {
        fetches.push(clock.nowMs());
        return served();
      },
      audit: {
        record: async ({ action, target, outcome, detail }) =>
          void noted.push([action, target, outcome, detail].join(" | ")),
      },
      clock,
      log: silentLogger,
    });
  }
  const draft = (more: Partial<IssuerDraft> = {}): IssuerDraft => ({
    name: "accounts",
    issuer: issuer.issuer,
    jwks: issuer.jwks(),
    jwksUrl: "",
    allowPrivateAddress: false,
    jwksCa: "",
    ...more,
  });
  const fromUrl = draft({ jwks: "", jwksUrl: "https://accounts.example/jwks" });
  const sequence = (): number => log.head()?.body.sequence ?? 0;

  beforeEach(() => {
    served = () => issuer.jwks();
    fetches = [];
    noted = [];
  });

  test("are set, listed and removed by trust records, and audited", async () => {
    const issuers = open();
    expect(await issuers.set(draft(), operator, never)).toEqual({ created: true, ignored: [] });
    expect(await issuers.set(draft(), operator, never)).toMatchObject({ created: false });
    expect(sequence()).toBe(2);
    expect(issuers.list()).toMatchObject([{ keyIds: ["k1"], problem: "", issuer: { name: "accounts" } }]);
    await issuers.remove("accounts", operator);
    expect([sequence(), issuers.list()]).toEqual([3, []]);
    expect(noted).toEqual([
      "issuer | issuer accounts | ok | https://accounts.example, keys from a file",
      "issuer | issuer accounts | ok | https://accounts.example, keys from a file",
      "issuer | issuer accounts | ok | removed",
    ]);
  });

  test("append again when somebody else was first", async () => {
    const issuers = open();
    await issuers.set(draft({ name: "others", issuer: "https://others.example" }), operator, never);
    log.beforeAppend = () => issuers.remove("others", operator);
    await issuers.set(draft(), operator, never);
    expect(issuers.list().map(({ issuer: { name } }) => name)).toEqual(["accounts"]);
  });

  test.each([
    ["no name", { name: "No Name" }, "invalid_argument"],
    ["no issuer", { issuer: "" }, "invalid_argument"],
    ["keys and a URL", { jwksUrl: "https://a.example/" }, "invalid_argument"],
    ["neither", { jwks: "" }, "invalid_argument"],
    ["http", { jwks: "", jwksUrl: "http://a.example/" }, "invalid_argument"],
    [
      "a private key",
      { jwks: JSON.stringify({ keys: [makeTokenKey().privateKey.export({ format: "jwk" })] }) },
      "invalid_argument",
    ],
  ])("with %s are refused, and nothing is stored", async (_what, more, code) => {
    const issuers = open();
    await expect(issuers.set(draft(more), operator, never)).rejects.toMatchObject({ code });
    expect([sequence(), noted.length]).toEqual([1, 1]);
  });

  test("are the business of the control plane that holds the root key", async () => {
    const issuers = open(false);
    await expect(issuers.set(draft(), operator, never)).rejects.toThrow(/the control plane that began the mesh/);
    await expect(issuers.remove("accounts", operator)).rejects.toMatchObject({ code: "denied" });
  });

  test("are read again every five minutes; a record is written only when the keys change", async () => {
    const issuers = open();
    await issuers.set(fromUrl, operator, never);
    const stop = new AbortController();
    const loop = runRefresh({ issuers, clock }, stop.signal);
    await settle();
    await clock.advance(20 * 60_000);
    expect([fetches.length, sequence()]).toEqual([5, 2]);
    const both = new TestTokenIssuer("accounts", [...issuer.keys, makeTokenKey("ES256", "k2")]);
    served = () => both.jwks();
    await clock.advance(6 * 60_000);
    expect([sequence(), [...(issuers.list()[0]?.keyIds ?? [])].sort()]).toEqual([3, ["k1", "k2"]]);
    stop.abort();
    await loop;
  });

  test("set anew while their keys are read again stay as they were set: no key that was taken back returns", async () => {
    const issuers = open();
    const [leaked, fresh] = [makeTokenKey("ES256", "leaked"), makeTokenKey("ES256", "fresh")];
    const jwksOf = (...keys: (typeof leaked)[]) => new TestTokenIssuer("accounts", [...issuer.keys, ...keys]).jwks();
    served = () => jwksOf(leaked);
    await issuers.set(fromUrl, operator, never);
    served = () => jwksOf(leaked, fresh); // answered just before the leaked key is taken back
    log.beforeAppend = async () => {
      served = () => jwksOf();
      await issuers.set(fromUrl, operator, never);
    };
    expect(await issuers.refresh("accounts", never)).toBe(true);
    expect(issuers.list()[0]?.keyIds).toEqual(["k1"]);
  });

  test("that are out of reach for half an hour keep their keys, are asked at most once in 30 s, and raise an alarm", async () => {
    const issuers = open();
    await issuers.set(fromUrl, operator, never);
    fetches = [];
    const stop = new AbortController();
    const loop = runRefresh({ issuers, clock }, stop.signal);
    await settle();
    for (const failure of [
      () => {
        throw new AshlarError("unavailable", "away");
      },
      () => "<html>",
      () => '{"keys":[]}',
    ]) {
      served = failure;
      await clock.advance(10 * 60_000);
      expect([sequence(), issuers.list()[0]?.keyIds]).toEqual([2, ["k1"]]);
    }
    expect(issuers.problems()).toEqual([
      expect.stringMatching(/issuer accounts cannot be read again; the known ones go on/),
    ]);
    const gaps = fetches.slice(1).map((atMs, index) => atMs - (fetches[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(retryMsMin);
    served = () => issuer.jwks();
    await clock.advance(6 * 60_000);
    expect(issuers.problems()).toEqual([]);
    stop.abort();
    await loop;
  });
});
