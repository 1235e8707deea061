import { generateKeyPairSync, sign } from "node:crypto";
import { TokenCache } from "../../core/token/token-cache.js";
import { buildTokenIssuers, TokenProblem } from "../../core/token/verify-token.js";
import { readFlags } from "../options.js";

readFlags(process.argv.slice(2), {
  text: `node dist/bench/token/main.js
What a token adds to a decision: one that is known, one that is new, one that is forged.`,
  example: "node dist/bench/token/main.js",
});

const tokensCount = 1000;
const rounds = 200;
const nowMs = 1_800_000_000_000;
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");

function makeToken(sub: string): string {
  const claims = { iss: "https://a.example", aud: "shop", sub, exp: nowMs / 1000 + 300, about: "x".repeat(400) };
  const signed = `${encode({ alg: "ES256", kid: "k" })}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

function report(what: string, count: number, act: (index: number) => void): void {
  const start = process.hrtime.bigint();
  for (let index = 0; index < count; index += 1) act(index);
  const each = Number(process.hrtime.bigint() - start) / count;
  console.log(`${what.padEnd(40)} ${(each / 1000).toFixed(3).padStart(9)} µs`);
}

const issuers = buildTokenIssuers(
  [{ kind: "JwtIssuer", name: "a", audiences: ["shop"], requiredClaims: ["sub"] }],
  [
    {
      name: "a",
      issuer: "https://a.example",
      jwksUrl: "",
      fetchedMs: 0,
      allowPrivateAddress: false,
      jwksCa: "",
      jwks: JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k" }] }),
    },
  ],
);
const cache = new TokenCache(issuers);
// as calls bring them: a text of its own each time, cut out of the bytes of a header
const headers = Array.from({ length: tokensCount }, (_, index) => Buffer.from(makeToken(`user-${index}`)));
const textOf = (index: number): string => (headers[index % tokensCount] as Buffer).toString("latin1");

console.log(`${tokensCount} tokens of ${headers[0]?.length} bytes, ES256, Node ${process.version}`);
report("new: verified", tokensCount, (index) => {
  if (cache.verify(textOf(index), nowMs) instanceof TokenProblem) throw new Error("a good token was refused");
});
report("the text alone", tokensCount * rounds, (index) => void textOf(index));
report("known: the text and the cache", tokensCount * rounds, (index) => void cache.verify(textOf(index), nowMs));
const forged = `${textOf(0).slice(0, -8)}AAAAAAAA`;
cache.verify(forged, nowMs);
report("forged, again and again", 10_000, () => void cache.verify(forged, nowMs));
