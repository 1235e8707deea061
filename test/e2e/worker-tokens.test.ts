/** Tokens are verified in workers: their issuers' keys come with the trust record. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { TestTokenIssuer } from "../support/token-issuer.js";
import { until } from "../support/until.js";

const policy = `${services}---
kind: JwtIssuer
name: accounts
audiences: [shop]
requiredClaims: [sub]
---
kind: Authorization
name: people
service: echo
allow:
  - from: [front]
    when: jwt.claims.sub == "ann"
`;
const workers = ["--workers", "2"];
const issuer = new TestTokenIssuer();
const clients: EchoClient[] = [];
let mesh: TestMesh;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo", flags: workers });
  const front = await mesh.proxy({ name: "front", service: "front", flags: workers });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  for (let count = 0; count < 4; count++) clients.push(new EchoClient(front.outbound, "echo"));
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await mesh?.stop();
}, 60_000);

/** Over every connection, so by both workers. */
async function codes(sub: string | undefined): Promise<readonly number[]> {
  const metadata = new Metadata();
  const nowSeconds = Math.floor(Date.now() / 1000);
  if (sub !== undefined)
    metadata.set("authorization", `Bearer ${issuer.token({ sub }, {}, issuer.keys[0], nowSeconds)}`);
  const answers = await Promise.all(clients.map((client) => client.unary({ text: "hello" }, { metadata })));
  return answers.map(({ code }) => code);
}

const all = (what: string, sub: string | undefined, code: number) =>
  until(`${what}: every call is answered ${code}`, async () => (await codes(sub)).every((one) => one === code), 30_000);

test("a token is good in every worker once its issuer has keys, and in none when it has gone", async () => {
  await all("without keys", "ann", status.UNAUTHENTICATED);
  const file = join(mesh.dir, "jwks.json");
  writeFileSync(file, issuer.jwks());
  await mesh.json(0, "issuer", "set", "accounts", "--issuer", issuer.issuer, "--jwks", file);
  await all("with keys", "ann", status.OK);
  expect(new Set(await codes("eve"))).toEqual(new Set([status.PERMISSION_DENIED]));
  expect(new Set(await codes(undefined))).toEqual(new Set([status.UNAUTHENTICATED]));
  expect((await mesh.cli("issuer", "remove", "accounts")).code).toBe(0);
  await all("without the issuer", "ann", status.UNAUTHENTICATED);
}, 120_000);
