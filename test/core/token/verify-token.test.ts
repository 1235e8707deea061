/** Tokens: CHECKS of RFC 8725, one by one. */
import { describe, expect, test } from "@jest/globals";
import { compactVerify, SignJWT } from "jose";
import {
  buildTokenIssuers,
  clockToleranceMs,
  keysTriedMax,
  TokenProblem,
  tokenBytesMax,
  verifyToken,
} from "../../../core/token/verify-token.js";
import { encode, makeTokenKey, nowMs, nowSeconds, signBytes, TestTokenIssuer } from "../../support/token-issuer.js";

const accounts = new TestTokenIssuer();
const others = new TestTokenIssuer("others", [makeTokenKey("RS256", "r1")]);
const [key = makeTokenKey()] = accounts.keys;
const [otherKey = makeTokenKey()] = others.keys;
const issuers = buildTokenIssuers([accounts.policy(), others.policy()], [accounts.trusted, others.trusted]);

/** "good", or why not. */
function verdict(token: string, atMs = nowMs, known = issuers): string {
  const found = verifyToken(token, known, atMs);
  return found instanceof TokenProblem ? found.reason : "good";
}

describe("a token", () => {
  test("gives its issuer and its claims as values of conditions", () => {
    const found = verifyToken(accounts.token({ level: 3, share: 1.5, roles: ["a"], of: { x: null } }), issuers, nowMs);
    if (found instanceof TokenProblem) throw new Error(found.reason);
    expect(found.issuer).toBe("accounts");
    expect(found.claims.get("level")).toBe(3n);
    expect(found.claims.get("share")).toBe(1.5);
    expect(found.claims.get("roles")).toEqual(["a"]);
    expect(found.claims.get("of")).toEqual(new Map([["x", null]]));
    expect([found.fromMs, found.untilMs]).toEqual([-clockToleranceMs, (nowSeconds + 300) * 1000 + clockToleranceMs]);
  });

  test.each(["ES256", "ES384", "ES512", "EdDSA", "RS256"] as const)(
    "of jose's, by %s, is good; one bit less is not",
    async (alg) => {
      const issuer = new TestTokenIssuer("accounts", [makeTokenKey(alg)]);
      const [{ privateKey } = key] = issuer.keys;
      const token = await new SignJWT({ ...issuer.claims() }).setProtectedHeader({ alg, kid: "k1" }).sign(privateKey);
      const known = buildTokenIssuers([issuer.policy()], [issuer.trusted]);
      expect(verdict(token, nowMs, known)).toBe("good");
      const at = token.lastIndexOf(".") + 5;
      const flipped = `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
      expect(verdict(flipped, nowMs, known)).toMatch(/signature/);
      await expect(compactVerify(flipped, privateKey)).rejects.toThrow();
    },
  );

  test.each(["PS256", "PS384", "PS512", "RS384", "RS512"])("by %s of an RSA key is good", (alg) => {
    expect(verdict(others.token({}, { alg }))).toBe("good");
  });

  const publicPem = key.publicKey.export({ type: "spki", format: "pem" });
  const unsigned = `${encode({ alg: "none" })}.${encode(accounts.claims())}.`;
  const whole = accounts.token();
  test.each([
    ["alg none", unsigned, /no JWS/],
    ["alg none with a signature of something", `${unsigned}AAAA`, /no key/],
    ["HS256 with the public key as its secret", accounts.symmetric(publicPem), /no key/],
    ["HS256 with the public key's kid", accounts.symmetric(publicPem, { kid: "k1" }), /no key/],
    ["ES256 claimed, by an RSA key", others.token({}, { alg: "ES256" }, { ...key, kid: "r1" }), /no key/],
    [
      "RS256 of another issuer's key: mix-up",
      accounts.raw({ alg: "RS256", kid: "r1" }, otherKey, accounts.claims()),
      /no key/,
    ],
    ["JWS JSON form", JSON.stringify({ payload: encode(accounts.claims()), signatures: [] }), /no JWS/],
    ["an unknown crit", accounts.token({}, { crit: ["exp"] }), /crit/],
    ["b64", accounts.token({}, { b64: false }), /b64/],
    ["jku", accounts.token({}, { jku: "https://evil.example" }), /jku/],
    ["x5u", accounts.token({}, { x5u: "https://evil.example" }), /x5u/],
    ["jwk", accounts.token({}, { jwk: accounts.jwk(key) }), /jwk/],
    ["another typ", accounts.token({}, { typ: "secevent+jwt" }), /type/],
    ["an unknown kid", accounts.token({}, { kid: "k2" }), /no key "k2"/],
    ["a forged signature", accounts.token({}, {}, makeTokenKey()), /signature/],
    [
      "a payload that was changed",
      whole.replace(/\.[^.]+\./, `.${encode(accounts.claims({ sub: "eve" }))}.`),
      /signature/,
    ],
    ["another audience", accounts.token({ aud: "bank" }), /nobody/],
    ["no audience", accounts.token({ aud: undefined }), /nobody/],
    ["an audience that only begins alike", accounts.token({ aud: ["shopping", 7] }), /nobody/],
    ["no expiry", accounts.token({ exp: undefined }), /expiry/],
    ["an expiry that is a text", accounts.token({ exp: String(nowSeconds + 300) }), /expiry/],
    ["an infinite expiry", accounts.token({ exp: 1e300 }), /expiry/],
    ["an iat that is a text", accounts.token({ iat: "now" }), /no time/],
    ["no sub, which is required", accounts.token({ sub: undefined }), /no sub/],
    ["a sub that is null", accounts.token({ sub: null }), /no sub/],
    ["no issuer", accounts.token({ iss: undefined }), /no issuer/],
    ["an unknown issuer", accounts.token({ iss: "https://evil.example" }), /not one of the mesh's/],
    ["claims nested too deeply", accounts.token({ a: [[[[[[[[[]]]]]]]]] }), /too deep/],
    ["too many claims", accounts.token({ a: Array.from({ length: 1000 }, () => 1) }), /too many/],
    ["more than 8 KiB", accounts.token({ a: "x".repeat(tokenBytesMax) }), /bytes/],
    ["a payload that is no object", `${encode({ alg: "ES256" })}.${encode("[]")}.AA`, /no JSON object/],
    ["slack in base64url", whole.replace(/^./, "$&="), /no JWS/],
    ["two tokens", `${whole},${whole}`, /no JWS/],
    ["nothing", "", /no JWS/],
  ])("with %s is refused", (_what, token, reason) => {
    expect(verdict(token)).toMatch(reason);
  });

  test("expires a second late, and not a second early, of its expiry and the tolerance", () => {
    const token = accounts.token({ exp: nowSeconds, nbf: nowSeconds });
    const endMs = nowMs + clockToleranceMs;
    expect([endMs - 1000, endMs - 1, endMs, endMs + 1000].map((atMs) => verdict(token, atMs))).toEqual([
      "good",
      "good",
      "it has expired",
      "it has expired",
    ]);
    expect(verdict(token, nowMs - clockToleranceMs - 1)).toMatch(/not good yet/);
    expect(verdict(token, nowMs - clockToleranceMs)).toBe("good");
  });

  test("is tried with each key of its kid, and without a kid with those that fit, up to a number", () => {
    const [first, second] = [makeTokenKey("ES256", "same"), makeTokenKey("ES256", "same")];
    const twins = new TestTokenIssuer("accounts", [first, second]);
    const known = buildTokenIssuers([twins.policy()], [twins.trusted]);
    for (const one of [first, second]) expect(verdict(twins.token({}, {}, one), nowMs, known)).toBe("good");
    expect(verdict(twins.token({}, {}, makeTokenKey("ES256", "same")), nowMs, known)).toMatch(/signature/);
    const nameless = { ...first, kid: undefined };
    expect(verdict(twins.token({}, {}, nameless), nowMs, known)).toBe("good");
    const stranger = { ...makeTokenKey("ES256", "same"), kid: undefined };
    expect(verdict(twins.token({}, {}, stranger), nowMs, known)).toMatch(/not by a key of its issuer/);
    const many = Array.from({ length: keysTriedMax + 1 }, (_, at) => makeTokenKey("ES256", `k${at}`));
    const crowd = new TestTokenIssuer("accounts", many);
    const crowded = buildTokenIssuers([crowd.policy()], [crowd.trusted]);
    const order = [...(crowded.get(crowd.trusted.issuer)?.keys ?? [])].map(({ kid }) => kid);
    const placed = (place: number) => many.find(({ kid }) => kid === order[place]) as (typeof many)[number];
    const last = placed(keysTriedMax - 1);
    expect(verdict(crowd.token({}, {}, { ...last, kid: undefined }), nowMs, crowded)).toBe("good");
    const beyond = { ...placed(keysTriedMax), kid: undefined };
    expect(verdict(crowd.token({}, {}, beyond), nowMs, crowded)).toMatch(/1 were not tried/);
    expect(verdict(accounts.token({}, {}, { ...key, kid: undefined }))).toBe("good");
  });

  test("of an issuer without keys in the trust log, or whose key set is none, is refused", () => {
    expect(verdict(whole, nowMs, buildTokenIssuers([accounts.policy()], []))).toMatch(/not one of/);
    const broken = { ...accounts.trusted, jwks: "{}" };
    expect(verdict(whole, nowMs, buildTokenIssuers([accounts.policy()], [broken]))).toMatch(/no key/);
    expect(verdict(whole, nowMs, buildTokenIssuers([], [accounts.trusted]))).toMatch(/not one of/);
  });

  test("is good in the middle of a rotation, whichever of the keys signed it", () => {
    const next = makeTokenKey("ES256", "k2");
    const both = new TestTokenIssuer("accounts", [key, next]);
    const known = buildTokenIssuers([both.policy()], [both.trusted]);
    expect([whole, both.token({}, {}, next)].map((token) => verdict(token, nowMs, known))).toEqual(["good", "good"]);
  });

  test("that is signed over other bytes than it shows is refused", () => {
    const header = encode({ alg: "ES256", kid: "k1" });
    const signature = signBytes("ES256", `${header}.${encode(accounts.claims())}`, key.privateKey);
    expect(verdict(`${header}.${encode(accounts.claims({ admin: true }))}.${signature}`)).toMatch(/signature/);
  });
});
