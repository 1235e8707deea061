/** A token's way: keys set by command, policy from a file, the verdict of a proxy, with the processes an operator has. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { makeTokenKey, TestTokenIssuer } from "../support/token-issuer.js";
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
    when: jwt.claims.sub == "ann" && jwt.issuer == "accounts"
`;
const issuer = new TestTokenIssuer();
let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  const front = await mesh.proxy({ name: "front", service: "front" });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

async function call(token?: string): Promise<number> {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return (await client.unary({ text: "hello" }, { metadata })).code;
}

const token = (more = {}, key = issuer.keys[0]): string => issuer.token(more, {}, key, Math.floor(Date.now() / 1000));

test("keys that a command sets are in force within moments, rotate without a 16, and go", async () => {
  const file = join(mesh.dir, "jwks.json");
  const set = async () => {
    writeFileSync(file, issuer.jwks());
    return mesh.json(0, "issuer", "set", "accounts", "--issuer", issuer.issuer, "--jwks", file);
  };
  expect(await call(token())).toBe(status.UNAUTHENTICATED);
  expect(await set()).toMatchObject({ created: true, keyIds: ["k1"] });
  await until("the token is good", async () => (await call(token())) === status.OK);
  expect([await call(), await call(token({ sub: "eve" }))]).toEqual([status.UNAUTHENTICATED, status.PERMISSION_DENIED]);
  const [old = makeTokenKey()] = issuer.keys;
  const next = makeTokenKey("ES256", "k2");
  issuer.keys = [old, next];
  await set();
  const codes = new Set<number>();
  await until("the new key's token is good", async () => {
    codes.add(await call(token({}, old)));
    return (await call(token({}, next))) === status.OK;
  });
  expect([...codes]).toEqual([status.OK]);
  expect(await mesh.json(0, "issuer", "list")).toMatchObject([{ name: "accounts", issuer: issuer.issuer }]);
  const removed = await mesh.cli("issuer", "remove", "accounts");
  expect(removed.code).toBe(0);
  await until("no token is good", async () => (await call(token())) === status.UNAUTHENTICATED);
  const audit = await mesh.json(0, "audit");
  expect(audit.filter(({ action }: { action: string }) => action === "issuer")).toHaveLength(3);
});

test("can asks with claims, and publishing warns of an issuer without keys", async () => {
  const pair = ["can", "front", "echo/test.Echo/Unary"];
  const claims = ["--claim", "sub=ann", "--token-issuer", "accounts"];
  expect(await mesh.json(0, ...pair, ...claims)).toMatchObject({ allowed: true, rule: "people/allow[0]" });
  expect(await mesh.json(0, ...pair)).toMatchObject({ allowed: false });
  const again = await mesh.json(0, "apply", "-f", mesh.policy("again.yaml", policy), "--dry-run");
  expect(JSON.stringify(again.findings)).toMatch(/has no keys of accounts/);
});
