/** Private fields in a real mesh: written, read by their holder alone, shredded, and then by nobody. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { testHolder } from "../support/holder.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

/** With several processes the holder is in the trust log, and fields are named by message type. */
const policyFor = (workers: number) => `${frontMayCall}---
kind: Journal
name: echo-writes
service: echo
methods: [test.Echo/Unary]
mode: before
response: bytes
replayers: [admin]
private:
${
  workers > 1
    ? `  - { field: test.EchoRequest.text, subject: test.EchoRequest.payload }
  - { field: test.EchoResponse.text, subject: test.EchoRequest.payload }`
    : `  subject: request.headers["x-account"]
  holder: ${testHolder.publicKey}
  fields: [test.Echo/Unary request.text, test.Echo/Unary response.text]`
}
---
kind: Route
name: echo
service: echo
rules: [{ split: [{ version: v1, weight: 1 }] }]
`;

describe.each([1, 2])("with %i processes", (workers) => {
  /** The subject of the writes about ada: a header, or bytes of the request in hexadecimal. */
  const ada = workers > 1 ? Buffer.from("ada").toString("hex") : "ada";
  let mesh: TestMesh;
  let client: EchoClient;
  let holderKey: readonly string[];

  beforeAll(async () => {
    mesh = await TestMesh.start();
    const flags = ["--workers", String(workers)];
    const [v1, v2, front] = await Promise.all([
      mesh.proxy({ name: "echo-1", service: "echo", version: "v1", flags }),
      mesh.proxy({ name: "echo-2", service: "echo", version: "v2" }),
      mesh.proxy({ name: "front", service: "front" }),
    ]);
    await Promise.all([mesh.app(v1, "echo", "v1"), mesh.app(v2, "echo", "v1")]);
    const proto = join(import.meta.dirname, "../support/echo.proto");
    if (workers > 1) await setHolder(proto);
    const { revision } = await mesh.apply(policyFor(workers), "-f", proto);
    const shown = await mesh.cli("show", String(revision), "-o", "yaml");
    expect(shown.stdout).toMatch(/- test\.Echo\/Unary request\.1\n +- test\.Echo\/Unary response\.1\n/);
    await mesh.healthy("echo", 2);
    client = new EchoClient(front.outbound, "echo");
    const file = join(mesh.dir, "holder.pem");
    writeFileSync(file, testHolder.pem, { mode: 0o600 });
    holderKey = ["--holder-key", file];
    for (const account of ["ada", "eve"]) {
      const metadata = new Metadata();
      metadata.set("x-account", account);
      const answer = await client.unary(
        { text: `secret of ${account}`, payload: Buffer.from(account) },
        { metadata, deadlineMs: 10_000 },
      );
      expect([answer.code, answer.response?.text]).toEqual([0, `secret of ${account}`]);
    }
  }, 120_000);

  /** Sets the holder, without which the policy is refused. */
  async function setHolder(proto: string): Promise<void> {
    const written = join(mesh.dir, "policy-without-holder.yaml");
    writeFileSync(written, policyFor(2));
    const refused = await mesh.cli("apply", "-f", written, "-f", proto);
    expect([refused.code, refused.stdout + refused.stderr]).toEqual([
      1,
      expect.stringContaining("ashlar journal holder set"),
    ]);
    const file = join(mesh.dir, "holder-public.txt");
    writeFileSync(file, testHolder.publicKey);
    const { publicKey } = testHolder;
    expect(await mesh.json(0, "journal", "holder", "set", file)).toMatchObject({ created: true, publicKey });
    expect(await mesh.json(0, "journal", "holder")).toMatchObject({ publicKey });
  }

  afterAll(async () => {
    client?.close();
    await mesh?.stop();
  }, 60_000);

  /** What is said of the private fields of the writes about ada and eve, and what is read of them. */
  async function read(...flags: readonly string[]) {
    const listed = (await mesh.json(0, "journal", "list", "--service", "echo")) as { sequence: number }[];
    const found = [];
    for (const { sequence } of listed) {
      const shown = await mesh.json(0, "journal", "show", "echo", String(sequence), ...flags);
      const text = ["request", "response"]
        .map((part) => Buffer.from(shown[part], "base64").toString("latin1"))
        .join("");
      found.push([shown.private, [...text.matchAll(/secret of (ada|eve)/g)].map(([, account]) => account)]);
    }
    return found;
  }

  async function replay(...flags: readonly string[]) {
    const checkpoint = join(mesh.dir, `replay-${flags.length}-${Math.random()}.json`);
    const to = ["--service", "echo", "--target", "v2", "--verify", "--go-on", "--checkpoint", checkpoint];
    return JSON.parse((await mesh.cli("journal", "replay", ...to, ...flags, "-o", "json")).stdout);
  }

  test("the holder reads what others cannot, and replays it", async () => {
    const isSettled = async () =>
      ((await mesh.json(0, "journal", "list", "--service", "echo")) as { outcome: unknown }[]).every(
        ({ outcome }) => outcome !== null,
      );
    await until("the outcomes are stored", isSettled);
    expect(await read()).toEqual([
      ["withheld", []],
      ["withheld", []],
    ]);
    expect(await read(...holderKey)).toEqual([
      ["restored", ["ada", "ada"]],
      ["restored", ["eve", "eve"]],
    ]);
    expect(await replay()).toMatchObject({ sent: 0, notRestored: 2 });
    expect(await replay(...holderKey)).toMatchObject({ sent: 2, notRestored: 0, complete: true });
  }, 120_000);

  test("once a subject is shredded nobody reads it, others are as before, and the journal holds", async () => {
    const shred = ["journal", "shred", ada, "--service", "echo", "-m", "asked for it"];
    expect((await mesh.cli(...shred)).code).not.toBe(0); // nobody said --yes
    expect((await read(...holderKey))[0]).toEqual(["restored", ["ada", "ada"]]);
    expect(await mesh.json(0, ...shred, "--yes")).toEqual({
      ...{ service: "echo", subject: ada, keys: 1 },
      journals: [{ service: "echo", keys: 1 }],
    });
    expect(await read(...holderKey)).toEqual([
      ["shredded", []],
      ["restored", ["eve", "eve"]],
    ]);
    const replayed = await replay(...holderKey);
    expect(replayed).toMatchObject({ sent: 1, notRestored: 1 });
    const again = await mesh.cli(...shred, "--yes");
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/it was shredded/)]);
    const audit = (await mesh.cli("audit", "-o", "json")).stdout;
    expect(audit).toMatch(/"shred"/);
    expect(audit).not.toContain("subject ada");
  }, 120_000);

  test("exports have nothing private in clear, and verify", async () => {
    expect(await mesh.json(0, "journal", "verify")).toMatchObject({ ok: true, faults: [] });
    const file = join(mesh.dir, "echo.jsonl");
    expect((await mesh.cli("journal", "export", "--service", "echo", "--output-file", file)).code).toBe(0);
    const lines = readFileSync(file, "utf8").trimEnd().split("\n").slice(1);
    for (const line of lines)
      expect(Buffer.from(JSON.parse(line).data, "base64").toString("latin1")).not.toMatch(/secret of/);
    expect(await mesh.json(0, "journal", "verify", file)).toMatchObject({ ok: true });
  }, 60_000);
});
