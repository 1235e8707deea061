import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { jwksBytesMax, readJwks } from "../../../core/token/jwks.js";
import { makeTokenKey, TestTokenIssuer } from "../../support/token-issuer.js";

const key = makeTokenKey();
const issuer = new TestTokenIssuer("accounts", [key]);
const jwk = issuer.jwk(key);
const set = (...keys: readonly unknown[]): string => JSON.stringify({ keys });
const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });

describe("a key set", () => {
  test("is kept with what verifying needs, the same text in whatever order it came", () => {
    const other = issuer.jwk(makeTokenKey("RS256", "r1"));
    const kept = readJwks(set({ ...jwk, use: "sig", x5t: "AA" }, other));
    expect(readJwks(set(other, jwk)).text).toBe(kept.text);
    expect(readJwks(kept.text).text).toBe(kept.text);
    expect(kept.text).not.toMatch(/x5t|use/);
    expect(kept.keys.map(({ kid, algorithms }) => [kid, algorithms])).toEqual([
      ["k1", ["ES256"]],
      ["r1", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]],
    ]);
    expect(kept.ignored).toEqual([]);
  });

  test.each([
    ["an unknown kty", { kty: "PQC", kid: "x" }, /of a kind/],
    ["keys for encryption", { ...jwk, use: "enc" }, /use/],
    ["keys for signing only", { ...jwk, key_ops: ["sign"] }, /key_ops/],
    ["another algorithm than their kind's", { ...jwk, alg: "RS256" }, /algorithm/],
    ["a curve that is not used", { ...jwk, crv: "secp256k1" }, /curve/],
    ["a point that is not on its curve", { ...jwk, x: "AAAA" }, /not a valid/],
    ["too few bits", { ...small, kid: "s" }, /1024 bits/],
    ["too large an exponent", { ...small, e: Buffer.alloc(8, 1).toString("base64url") }, /exponent/],
    ["no object", 7, /no object/],
  ])("leaves out keys with %s (RFC 7517 5)", (_what, bad, why) => {
    const { keys, ignored } = readJwks(set(bad, jwk));
    expect(keys).toHaveLength(1);
    expect(ignored).toEqual([expect.stringMatching(why)]);
    expect(() => readJwks(set(bad))).toThrow(/no key that can verify/);
  });

  test("binds a key to the algorithm that it names", () => {
    const [bound] = readJwks(set({ ...issuer.jwk(makeTokenKey("RS256", "r1")), alg: "PS256" })).keys;
    expect(bound?.algorithms).toEqual(["PS256"]);
  });

  test.each([
    ["a private key", key.privateKey.export({ format: "jwk" })],
    ["a symmetric key", { kty: "oct", k: "AAAA" }],
  ])("with %s is refused as a whole, beside good ones too", (_what, secret) => {
    expect(() => readJwks(set(jwk, secret))).toThrow(/private or symmetric/);
  });

  test.each([
    ["that is empty", set(), /it is empty/],
    ["that is no JSON", "<html>", /not JSON/],
    ["that is no set", JSON.stringify(jwk), /no JWK set/],
    ["of too many keys", set(...Array.from({ length: 65 }, () => jwk)), /at most 64/],
    ["of too many bytes", set(jwk, "x".repeat(jwksBytesMax)), /at most 65536/],
  ])("%s is refused", (_what, text, why) => {
    expect(() => readJwks(text)).toThrow(why);
  });
});
