/** A call through real proxies, its record, its explanation, and what a candidate would have made of it. */
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const when = 'request.headers["x-region"] == "eu"';
const policy = (from: string): string => `${services}---
kind: Authorization
name: callers
service: echo
allow:
  - from: [${from}]
    when: ${when}
`;

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const record = ["--record-share", "100%"];
  const echo = await mesh.proxy({ name: "echo", service: "echo", flags: record });
  const front = await mesh.proxy({ name: "front", service: "front", flags: record });
  await mesh.app(echo, "echo");
  await mesh.apply(policy("front"));
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

async function call(region: string): Promise<{ readonly code: number; readonly id: string }> {
  const metadata = new Metadata();
  metadata.set("x-region", region);
  const { code, trailers } = await client.unary({ text: "hello" }, { metadata });
  return { code, id: String(trailers.get("ashlar-decision")[0] ?? "") };
}

test("a refused call is found by the id in its answer, with its rule, what it lacks and the least change", async () => {
  const { code, id } = await call("us");
  expect(code).toBe(status.PERMISSION_DENIED);
  await until("the decision is stored", async () => (await mesh.cli("explain", id)).code === 0);
  expect(await mesh.json(0, "explain", id)).toMatchObject({
    id,
    verdict: "denied",
    allowed: false,
    rule: "default-deny",
    revision: 1,
    caller: "spiffe://test/service/front",
    inputs: { headers: { "x-region": "us" } },
    again: { verdict: "denied", reproduced: true },
    nearest: { rule: "callers/allow[0]", failing: [{ term: "condition", why: `it is false: ${when}` }] },
  });
  const text = (await mesh.cli("explain", id)).stdout;
  expect(text).toContain('header x-region: "us"');
});

test("an unknown id, and what is none, are one clear line", async () => {
  const unknown = await mesh.cli("explain", "0".repeat(24));
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringMatching(/^ashlar: no decision 0{24} is recorded/) });
  expect(await mesh.cli("explain", "nonsense")).toMatchObject({ code: 2 });
});

test("a replay shows the flips of a candidate by caller and method, reproduces the past, and counts for CI", async () => {
  expect((await call("eu")).code).toBe(status.OK);
  await until("both halves are recorded", async () => {
    const { decisions } = await mesh.json(0, "decisions");
    const verdicts = decisions.map(({ verdict }: { verdict: string }) => verdict);
    return verdicts.includes("allowed") && verdicts.includes("routed");
  });
  const candidate = mesh.policy("candidate.yaml", policy("stranger"));
  const answer = await mesh.json(0, "replay", "-f", candidate);
  expect(answer).toMatchObject({ mismatched: 0, unchecked: 0, undecidable: 0, dropped: 0, flipped: 1 });
  expect(answer.reproduced).toBe(answer.decisions);
  expect(answer.flips).toMatchObject([
    {
      caller: "spiffe://test/service/front",
      service: "echo",
      method: "test.Echo/Unary",
      before: "allowed",
      after: "denied",
    },
  ]);
  const sample: string = answer.flips[0].samples[0];
  expect(await mesh.json(0, "explain", sample)).toMatchObject({ verdict: "allowed", again: { reproduced: true } });
  await mesh.json(1, "replay", "-f", candidate, "--fail-on-flips", "0");
  await mesh.json(0, "replay", "-f", candidate, "--fail-on-flips", "1");
  expect(await mesh.json(0, "replay", "--candidate", "1")).toMatchObject({ flipped: 0, mismatched: 0 });
  const { revision } = await mesh.json(0, "apply", "-f", candidate, "--no-activate");
  expect(await mesh.json(0, "explain", sample, "--revision", String(revision))).toMatchObject({
    verdict: "allowed",
    again: { verdict: "denied", rule: "default-deny", by: `revision ${revision}` },
    nearest: { failing: [{ term: "caller" }], change: "add front to callers/allow[0].from" },
  });
});

test("a candidate that reads what was not recorded is not guessed", async () => {
  const other = policy("front").replace(when, 'request.headers["x-tenant"] == "a"');
  const answer = await mesh.json(0, "replay", "-f", mesh.policy("other.yaml", other));
  expect(answer).toMatchObject({ flipped: 0, mismatched: 0, unknown: [{ what: "header x-tenant" }] });
  expect(answer.undecidable).toBeGreaterThan(0);
});

test("I8: a flood of refusals fills nothing: some are recorded, the rest is counted", async () => {
  for (let batch = 0; batch < 10; batch++) await Promise.all(Array.from({ length: 50 }, () => call("us")));
  let counted = 0;
  await until(
    "the rest is counted",
    async () => {
      const { counted: counts } = await mesh.json(0, "decisions", "--denied");
      counted = counts.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
      return counted > 0;
    },
    20_000,
  );
  const { decisions } = await mesh.json(0, "decisions", "--denied", "--limit", "1000");
  expect(decisions.length).toBeLessThanOrEqual(101);
  expect(decisions.length + counted).toBeLessThanOrEqual(501);
}, 60_000);
