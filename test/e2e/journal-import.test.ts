/** A mesh that has lost a journal gets it back from an export, and goes on as before. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const journal = `---
kind: Journal
name: echo-writes
service: echo
methods: [test.Echo/Unary]
mode: before
idempotencyKey: request.headers["idempotency-key"]
orderBy: request.headers["x-account"]
response: bytes
`;

let mesh: TestMesh;
let client: EchoClient;
let archive: string;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", flags: ["--workers", "2"] }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(`${frontMayCall}${journal}`);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
  archive = join(mesh.dir, "echo.jsonl");
}, 180_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

function write(key: string, text: string) {
  const metadata = new Metadata();
  metadata.set("idempotency-key", key);
  metadata.set("x-account", "ada");
  return client.unary({ text }, { metadata, deadlineMs: 10_000 });
}

const sequenceOf = (trailers: Metadata): number => Number(trailers.get("ashlar-sequence")[0]);
const listed = () => mesh.json(0, "journal", "list", "--service", "echo");

/** Takes the journal's stream from the disk of NATS while nobody runs. */
async function loseJournal(): Promise<void> {
  await mesh.up.stop();
  const lost = readdirSync(mesh.data, { recursive: true, withFileTypes: true }).filter(
    (each) => each.isDirectory() && each.name === "ASHLAR_JOURNAL_echo",
  );
  expect(lost).toHaveLength(1);
  for (const { parentPath, name } of lost) rmSync(join(parentPath, name), { recursive: true });
  await mesh.startUp().said("ready", 120_000);
}

test("a lost journal is imported: keys, order and signatures hold, and writes go on behind it", async () => {
  const first = await write("k1", "one");
  const second = await write("k2", "two");
  expect([first.code, second.code]).toEqual([0, 0]);
  await until("the outcomes are stored", async () =>
    (await listed()).every((each: { outcome: unknown }) => each.outcome !== null),
  );
  const before = await listed();
  expect((await mesh.cli("journal", "export", "--service", "echo", "--output-file", archive)).code).toBe(0);
  const refused = await mesh.cli("journal", "import", archive, "-m", "again");
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/policy in force names a Journal of echo/)]);

  await mesh.apply(frontMayCall, "--yes");
  const notEmpty = await mesh.cli("journal", "import", archive, "-m", "again");
  expect([notEmpty.code, notEmpty.stderr]).toEqual([1, expect.stringMatching(/is not empty: sequences 1 to \d+/)]);
  await loseJournal();

  const lines = readFileSync(archive, "utf8").split("\n");
  const broken = join(mesh.dir, "broken.jsonl");
  writeFileSync(broken, [...lines.slice(0, 2), ...lines.slice(3)].join("\n"));
  const gap = await mesh.cli("journal", "import", broken, "-m", "lost");
  expect([gap.code, gap.stderr]).toEqual([1, expect.stringMatching(/sequence 2: it is missing; nothing was imported/)]);

  const done = await mesh.json(0, "journal", "import", archive, "-m", "lost");
  expect(done).toMatchObject({ service: "echo", entries: 2, first: 1 });
  expect(await listed()).toEqual(before);
  await mesh.apply(`${frontMayCall}${journal}`);
  let repeat = await write("k1", "one");
  const isBack = async (): Promise<boolean> => {
    repeat = await write("k1", "one");
    return repeat.code === 0;
  };
  await until("the proxy writes again", isBack, 60_000, () => repeat.details);
  expect(sequenceOf(repeat.trailers)).toBe(sequenceOf(first.trailers));
  expect((await write("k1", "other")).code).toBe(9);
  const third = await write("k3", "three");
  expect(third.code).toBe(0);
  expect(sequenceOf(third.trailers)).toBeGreaterThan(done.last);
  const after = await listed();
  expect(after.map((each: { key: string }) => each.key)).toEqual(["k1", "k2", "k3"]);
  expect(after[2]).toMatchObject({ valid: true, expected: sequenceOf(second.trailers) });
  expect(await mesh.json(0, "journal", "verify", "--service", "echo")).toMatchObject({ ok: true, entries: 3 });
  expect((await mesh.cli("audit", "-o", "json")).stdout).toMatch(/"import"/);
  expect(await mesh.json(0, "journal", "import", "--give-up", "echo")).toEqual({ service: "echo", givenUp: true });
}, 300_000);

test("the key that vouches for what was imported is dropped only when somebody says that it is meant", async () => {
  const { previousKid } = await mesh.json(0, "trust", "rotate", "-m", "yearly");
  await mesh.json(0, "wait");
  const refused = await mesh.cli("trust", "drop", previousKid);
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/vouches for the journal of echo: \d+ imported messages up to sequence \d+\. .*--yes/s),
  ]);
  expect((await mesh.json(0, "trust", "show")).signingKeys).toHaveLength(2);
  await mesh.json(0, "trust", "drop", previousKid, "--yes");
  expect((await mesh.json(0, "trust", "show")).signingKeys).toHaveLength(1);
}, 120_000);
