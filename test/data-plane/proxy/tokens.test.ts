/** Tokens of end users, through two proxies: what the caller is answered, and that the application sees nothing else. */

import { randomInt } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import { type ClientDuplexStream, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { JwtIssuer } from "../../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { AuthorizationRule } from "../../../core/model.js";
import { clockToleranceMs } from "../../../core/token/verify-token.js";
import { buildPolicy, everyone, issueIdentity } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";
import { makeTokenKey, TestTokenIssuer } from "../../support/token-issuer.js";
import { block, headers, preface, requestBlock, settings } from "../../support/wire.js";

const hello = Buffer.from("hello");
const isAnn = 'jwt.claims.sub == "ann"';
const nowSeconds = (): number => Math.floor(Date.now() / 1000);

describe("tokens", () => {
  let pair: ProxyPair;
  let issuer: TestTokenIssuer;
  let revision = 1;
  let seen: Metadata[] = [];

  const enforce = (
    allow: readonly AuthorizationRule[],
    deny: readonly AuthorizationRule[] = [],
    more: Partial<JwtIssuer> = {},
  ): void => {
    revision += 1;
    const policy = buildPolicy(revision, [{ service: "bytes", allow, deny }], [issuer.policy(more)]);
    pair.callee.policy.switchTo(policy);
  };
  /** `issuer` is what the mesh trusts from now on. */
  const trust = (): void => {
    pair.callee.trust.issuers = [issuer.trusted];
    pair.callee.trust.changed();
    pair.inbound.refreshTokens();
  };
  const token = (more = {}, header = {}, key = issuer.keys[0]): string => issuer.token(more, header, key, nowSeconds());
  const withTokens = (...values: readonly string[]): Metadata => {
    const metadata = new Metadata();
    for (const value of values) metadata.add("authorization", value);
    return metadata;
  };
  const call = async (...values: readonly string[]): Promise<number> =>
    (await pair.client().unary(hello, withTokens(...values))).error?.code ?? status.OK;

  beforeEach(async () => {
    revision = 1;
    seen = [];
    issuer = new TestTokenIssuer();
    pair = await ProxyPair.start({
      Unary: (unary, callback) => {
        seen.push(unary.metadata);
        callback(null, unary.request);
      },
      Bidi: (bidi) => {
        seen.push(bidi.metadata);
        bidi.on("data", (chunk: Buffer) => bidi.write(chunk));
        bidi.on("end", () => bidi.end());
      },
    });
    trust();
  });
  afterEach(() => pair.stop());

  test("that are asked for: 16 without a good one, 0 with it, 7 where no rule wants it", async () => {
    enforce([{ ...everyone, when: isAnn }]);
    expect(await call(`Bearer ${token()}`)).toBe(status.OK);
    expect(await call(`bearer ${token()}`)).toBe(status.OK);
    expect(await call(`Bearer ${token({ sub: "eve" })}`)).toBe(status.PERMISSION_DENIED);
    expect(seen).toHaveLength(2);
    const missing = await pair.client().unary(hello);
    expect(missing.error?.code).toBe(status.UNAUTHENTICATED);
    expect(missing.error?.details).toMatch(/^a token is asked for \(decision [0-9a-f]+, revision 2\)$/);
    expect(missing.error?.metadata.get("ashlar-decision")).toHaveLength(1);
    const bad = [
      "Basic YTpi",
      "Bearer",
      "Bearer x",
      `Bearer ${token({ aud: "bank" })}`,
      `Bearer ${token({ exp: nowSeconds() - 31 })}`,
      `Bearer ${token({ nbf: nowSeconds() + 60 })}`,
      `Bearer ${token({ iss: "https://evil.example" })}`,
      `Bearer ${token({}, { kid: "k2" })}`,
      `Bearer ${token({}, { jku: "https://evil.example" })}`,
      `Bearer ${token({}, { crit: ["x"] })}`,
      `Bearer ${token({}, {}, makeTokenKey())}`,
      `Bearer ${token({ padding: "x".repeat(7000) })}`,
      `Bearer${" ".repeat(5000)}${token()}`, // what is kept of a token is its header as a whole
      `Bearer ${issuer.symmetric("secret")}`,
    ];
    for (const value of bad) expect([value.slice(0, 40), await call(value)]).toEqual([value.slice(0, 40), 16]);
    expect(await call(`Bearer ${token()}, Bearer ${token()}`)).toBe(16);
    expect(seen).toHaveLength(2);
  });

  test("that are refused: the record says why, and holds nothing of the token", async () => {
    enforce([{ ...everyone, when: isAnn }]);
    const iss = `https://${"x".repeat(2000)}.example`;
    const refused: readonly (readonly [string, string])[] = [
      [token({ exp: nowSeconds() - 31 }), "it has expired"],
      [token({ nbf: nowSeconds() + 60 }), "it is not good yet (nbf)"],
      [token({ aud: "bank" }), "is meant for nobody"],
      [token({ iss }), "is not one of the mesh's"],
      [token({}, { kid: "k2" }), 'its issuer has no key "k2"'],
      [token({}, {}, makeTokenKey()), "its signature is not by a key of its issuer"],
      ["x", "it is no JWS in compact form"],
    ];
    for (const [value, why] of refused) {
      expect(await call(`Bearer ${value}`)).toBe(status.UNAUTHENTICATED);
      const record = pair.callee.decisions.decisions.at(-1);
      expect(record).toMatchObject({ verdict: "unauthenticated", rule: "token" });
      expect(record?.tokenProblem).toContain(why);
      expect(record?.tokenProblem?.length).toBeLessThanOrEqual(256);
      const signature = value.split(".")[2];
      if (signature !== undefined) expect(JSON.stringify(record)).not.toContain(signature);
    }
    expect(await call()).toBe(status.UNAUTHENTICATED);
    expect(pair.callee.decisions.decisions.at(-1)?.tokenProblem).toBe("there is none");
    expect(await call(`Bearer ${token({ sub: "eve" })}`)).toBe(status.PERMISSION_DENIED);
    expect(pair.callee.decisions.decisions.at(-1)).not.toHaveProperty("tokenProblem");
  });

  test("in two authorization headers are 16, good as they may be (node:http2 would not send them)", async () => {
    enforce([{ ...everyone, when: isAnn }]);
    const good = `Bearer ${token()}`;
    for (const pairOfValues of [
      [good, good],
      ["Bearer x", good],
      ["", good],
      ["Basic YTpi", good],
    ]) {
      const { ended } = pair.callee.metrics;
      const before = ended.length;
      const fields = pairOfValues.map((value): readonly [string, string] => ["authorization", value]);
      const both = Buffer.concat([requestBlock({}), block(fields)]);
      const socket = connect(join(pair.dir, "out.sock"));
      socket.write(Buffer.concat([preface, settings(), headers(1, both, { endStream: true })]));
      await eventually("the call is answered", () => ended.length > before);
      expect(ended.at(-1)?.code).toBe(16);
      socket.destroy();
    }
    expect(seen).toEqual([]);
  });

  test("that nothing asks for are not looked at, bad ones neither", async () => {
    enforce([everyone, { ...everyone, when: isAnn }]);
    expect([await call(), await call("Bearer x")]).toEqual([0, 0]);
    expect(seen[1]?.get("authorization")).toEqual(["Bearer x"]);
  });

  test("that are missing do no harm where a rule allows without; bad ones do, where a rule in question reads one", async () => {
    const clerk = { ...everyone, when: 'request.headers["x-role"] == "clerk"' };
    enforce([{ ...everyone, when: isAnn }, clerk]);
    const metadata = new Metadata();
    metadata.set("x-role", "clerk");
    expect((await pair.client().unary(hello, metadata)).error).toBeUndefined();
    metadata.set("authorization", "Bearer x");
    expect((await pair.client().unary(hello, metadata)).error?.code).toBe(16);
  });

  test("are not asked for where they could not help", async () => {
    const blocked = { from: [], methods: [], when: '"x-blocked" in request.headers' };
    enforce([{ ...everyone, when: isAnn }], [blocked]);
    const metadata = new Metadata();
    metadata.set("x-blocked", "1");
    expect((await pair.client().unary(hello, metadata)).error?.code).toBe(status.PERMISSION_DENIED);
    expect(await call()).toBe(16);
    enforce([everyone], [{ from: [], methods: [], when: 'jwt.claims.sub == "eve"' }]);
    expect([await call(), await call(`Bearer ${token()}`), await call(`Bearer ${token({ sub: "eve" })}`)]).toEqual([
      16, 0, 7,
    ]);
  });

  test("stand beside the caller's identity, and rules ask for both", async () => {
    enforce([{ from: ["front"], methods: ["*"], when: isAnn }]);
    expect(await call(`Bearer ${token()}`)).toBe(status.PERMISSION_DENIED);
    enforce([{ from: ["shop"], methods: ["*"], when: `${isAnn} && jwt.issuer == "accounts"` }]);
    expect(await call(`Bearer ${token()}`)).toBe(status.OK);
  });

  test("are handed on as claims only to services that policy names; what comes from outside is removed", async () => {
    enforce([{ ...everyone, when: isAnn }]);
    const metadata = withTokens(`Bearer ${token({ email: "a@b.c" })}`);
    metadata.set("ashlar-claims", "forged");
    await pair.client().unary(hello, metadata);
    expect(seen.at(-1)?.get("ashlar-claims")).toEqual([]);
    enforce([everyone], [], { forwardClaims: { to: ["bytes"], claims: ["name", "sub"] } });
    expect((await pair.client().unary(hello, metadata)).error).toBeUndefined();
    const [claims = ""] = seen.at(-1)?.get("ashlar-claims") ?? [];
    expect(JSON.parse(Buffer.from(String(claims), "base64url").toString())).toEqual({ sub: "ann" });
    expect([await call(), await call("Bearer x")]).toEqual([0, 16]);
    expect(seen.at(-1)?.get("ashlar-claims")).toEqual([]);
    enforce([everyone], [], { forwardClaims: { to: ["other"], claims: ["sub"] } });
    expect(await call("Bearer x")).toBe(status.OK);
  });

  test("of both keys are good while keys rotate: zero 16s; of the one that went they are not", async () => {
    enforce([{ ...everyone, when: isAnn }]);
    const [old = makeTokenKey()] = issuer.keys;
    const next = makeTokenKey("ES256", "k2");
    const codes: number[] = [];
    for (const [keys, used] of [
      [[old], [old]],
      [
        [old, next],
        [old, next, old],
      ],
      [[next], [next]],
    ] as const) {
      issuer.keys = keys;
      trust();
      for (const key of used) codes.push(await call(`Bearer ${token({}, {}, key)}`));
    }
    expect(codes).toEqual([0, 0, 0, 0, 0]);
    expect(await call(`Bearer ${token({}, {}, old)}`)).toBe(16);
  });

  test("never mix: 1000 interleaved identities over one connection, each judged and handed on by itself", async () => {
    enforce([{ ...everyone, when: 'jwt.claims.sub.startsWith("good-")' }], [], {
      forwardClaims: { to: ["bytes"], claims: ["sub"] },
    });
    const client = pair.client();
    const users = Array.from({ length: 1000 }, (_, index) => `${randomInt(2) === 0 ? "good" : "bad"}-${index}`);
    for (let start = 0; start < users.length; start += 50) {
      await Promise.all(
        users.slice(start, start + 50).map(async (sub) => {
          const kind = randomInt(4);
          const metadata = kind === 0 ? new Metadata() : withTokens(`Bearer ${token({ sub })}`);
          const { error } = await client.unary(Buffer.from(sub), metadata);
          const wanted = kind === 0 ? 16 : sub.startsWith("good") ? 0 : 7;
          expect([sub, error?.code ?? 0]).toEqual([sub, wanted]);
        }),
      );
    }
    for (const metadata of seen) {
      const [claims = ""] = metadata.get("ashlar-claims");
      const [value = ""] = metadata.get("authorization");
      const ofToken = JSON.parse(Buffer.from(String(value).split(".")[1] ?? "", "base64url").toString());
      expect(JSON.parse(Buffer.from(String(claims), "base64url").toString())).toEqual({ sub: ofToken.sub });
      expect(ofToken.sub).toMatch(/^good-/);
    }
    expect(seen.length).toBeGreaterThan(200);
  });

  test("of a call that waits for the log are judged by what the log says then", async () => {
    pair.callee.policy.onHear = () => enforce([{ ...everyone, when: isAnn }]);
    const raw = await RawClient.mtls(pair.address, issueIdentity(pair.pki, "shop"), pair.pki.rootPem);
    const statusOf = async (headers: Readonly<Record<string, string>>) => {
      const { headers: first, trailers } = await raw.send({ "ashlar-epoch": String(revision + 1), ...headers });
      return Number(trailers["grpc-status"] ?? first["grpc-status"]);
    };
    expect(await statusOf({ authorization: `Bearer ${token()}` })).toBe(0);
    expect(await statusOf({ authorization: "Bearer x" })).toBe(16);
    expect(await statusOf({})).toBe(16);
    raw.close();
  });

  describe("of open streams (I10)", () => {
    const open = async (
      value: string,
    ): Promise<{ stream: ClientDuplexStream<Buffer, Buffer>; end: Promise<number> }> => {
      const stream = pair.client().bidi(withTokens(value));
      const end = new Promise<number>((resolve) => stream.on("status", ({ code }) => resolve(code)));
      stream.on("error", () => {});
      const echoed = new Promise((resolve) => stream.once("data", resolve));
      stream.write(hello);
      await echoed;
      return { stream, end };
    };

    test("are judged again when an issuer loses its keys, or policy its issuer", async () => {
      enforce([{ ...everyone, when: isAnn }]);
      const first = await open(`Bearer ${token()}`);
      pair.callee.trust.issuers = [];
      pair.inbound.refreshTokens();
      expect(await first.end).toBe(16);
      trust();
      const second = await open(`Bearer ${token()}`);
      revision += 1;
      const allow = [{ ...everyone, when: isAnn }];
      pair.callee.policy.switchTo(buildPolicy(revision, [{ service: "bytes", allow }]));
      expect(await second.end).toBe(16);
    });

    test("go on past a token's expiry, and through a switch: it counts as of the call's start", async () => {
      enforce([{ ...everyone, when: isAnn }]);
      const exp = nowSeconds() - 28;
      const { stream, end } = await open(`Bearer ${token({ exp })}`);
      await eventually("the token has expired", () => Date.now() > exp * 1000 + clockToleranceMs);
      expect(await call(`Bearer ${token({ exp })}`)).toBe(16);
      enforce([{ ...everyone, when: isAnn }]);
      const echoed = new Promise((resolve) => stream.once("data", resolve));
      stream.write(hello);
      await echoed;
      enforce([{ ...everyone, when: 'jwt.claims.sub == "eve"' }]);
      expect(await end).toBe(7);
    });
  });
});
