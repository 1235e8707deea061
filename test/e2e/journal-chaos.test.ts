/**
 * Writes through the journal while its proxies, NATS and the application are killed at any moment, by clients that repeat
 * what was not answered. `npm run chaos` kills 200 times.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import type { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const kills = Number(process.env.CHAOS_KILLS ?? "6");
const policy = `${frontMayCall}---
kind: Journal
name: echo-writes
service: echo
methods: [test.Echo/Unary]
mode: before
idempotencyKey: request.headers["idempotency-key"]
orderBy: request.headers["x-account"]
response: bytes
`;

interface Write {
  readonly key: string;
  readonly account: string;
  /** What its client was told at last. */
  readonly end: "applied" | "unknown";
  readonly sequence: number;
}

/** A line of `ashlar journal list -o json`. */
interface Listed {
  readonly sequence: number;
  readonly valid: boolean;
  readonly key: string;
  readonly order: string;
  readonly outcome: { readonly code: number } | null;
}

let mesh: TestMesh;
let echo: TestProxy;
let app: TestProcess;
let client: EchoClient;
const ended: Write[] = [];
let isOver = false;

const applied = (): string => join(mesh.dir, "applied");

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [found, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  echo = found;
  app = await startApp();
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  isOver = true;
  client?.close();
  await mesh?.stop();
}, 60_000);

const startApp = (): Promise<TestProcess> => mesh.app(echo, "echo", "v1", "--applied", applied());

/** The server of the private NATS, a child of the control plane. */
function natsPid(): number | undefined {
  const { pid } = mesh.up;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  return children.find((child) => /nats-server/.test(commandOf(child)));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // it has just ended
  }
}

const killing: readonly (() => Promise<void>)[] = [
  async () => {
    await echo.process.stop("SIGKILL");
    await echo.start().said("ready");
  },
  async () => {
    await app.stop("SIGKILL");
    app = await startApp();
  },
  async () => {
    const pid = natsPid();
    if (pid !== undefined) process.kill(pid, "SIGKILL");
    await until("NATS is there again", () => natsPid() !== undefined && natsPid() !== pid, 30_000);
  },
];

/** Writes one after the other, each until it is told an end; what is unknown blocks its account, so the next has another. */
async function writeOn(writer: number): Promise<void> {
  for (let [count, account] = [1, 0]; !isOver; count += 1) {
    const metadata = new Metadata();
    const key = `w${writer}-${count}`;
    metadata.set("idempotency-key", key);
    metadata.set("x-account", `${writer}-${account}`);
    while (!isOver) {
      const answer = await client.unary({ text: key, delay_ms: 5 }, { metadata, deadlineMs: 15_000 });
      const sequence = Number(answer.trailers.get("ashlar-sequence")[0] ?? 0);
      const end = answer.code === 0 ? "applied" : /^outcome unknown/.test(answer.details) ? "unknown" : undefined;
      if (end === undefined) continue;
      ended.push({ key, account: `${writer}-${account}`, end, sequence });
      if (end === "unknown") account += 1;
      break;
    }
  }
}

test(
  `what was acknowledged is in the journal once and was applied once, after ${kills} kills`,
  async () => {
    const writers = [1, 2, 3].map(writeOn);
    for (let kill = 0; kill < kills; kill += 1) {
      const before = ended.length;
      await killing[kill % killing.length]?.();
      await until(
        "writes go on",
        () => ended.length >= before + 6,
        60_000,
        () => JSON.stringify(ended.slice(-3)),
      );
    }
    isOver = true;
    await Promise.all(writers);
    const entries: readonly Listed[] = await mesh.json(0, "journal", "list", "--service", "echo", "--limit", "10000");
    const valid = new Map(entries.filter((each) => each.valid).map((each) => [each.sequence, each]));
    const lines = readFileSync(applied(), "utf8").trimEnd().split("\n");
    const given = lines.map((line) => line.split(" ") as [string, string, string]);
    // no void write reached the application, none came twice, and none under another key's entry
    expect(new Set(given.map(([sequence]) => sequence)).size).toBe(given.length);
    expect(new Set(given.map(([, key]) => key)).size).toBe(given.length);
    for (const [sequence, key, text] of given) expect([valid.get(Number(sequence))?.key, text]).toEqual([key, key]);
    for (const { key, end, sequence } of ended) {
      const entry = valid.get(sequence);
      expect(entry?.key).toBe(key);
      if (end === "applied") expect([key, entry?.outcome?.code]).toEqual([key, 0]);
      if (end === "applied") expect(given.some((each) => each[1] === key)).toBe(true);
    }
    // each account's writes were applied in their order
    const last = new Map<string, number>();
    for (const [sequence] of given) {
      const order = valid.get(Number(sequence))?.order ?? "";
      expect(Number(sequence)).toBeGreaterThan(last.get(order) ?? 0);
      last.set(order, Number(sequence));
    }
    expect(await mesh.json(0, "journal", "verify", "--service", "echo")).toMatchObject({ ok: true, faults: [] });
    expect(ended.filter(({ end }) => end === "applied").length).toBeGreaterThan(kills);
  },
  kills * 60_000 + 120_000,
);
