/** Writes through the journal of a real mesh, with proxies that are killed. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EchoClient, type UnaryResult } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

const policy = `${frontMayCall}---
kind: Journal
name: echo-writes
service: echo
methods: [test.Echo/Unary]
mode: before
idempotencyKey: request.headers["idempotency-key"]
response: bytes
`;

let mesh: TestMesh;
let echo: TestProxy;
let client: EchoClient;

describe.each([1, 2])("with %i processes", (workers) => {
  beforeAll(async () => {
    mesh = await TestMesh.start();
    const [found, front] = await Promise.all([
      mesh.proxy({ name: "echo", service: "echo", flags: ["--workers", String(workers)] }),
      mesh.proxy({ name: "front", service: "front" }),
    ]);
    echo = found;
    await mesh.app(echo, "echo");
    await mesh.apply(policy);
    await mesh.healthy("echo", 1);
    client = new EchoClient(front.outbound, "echo");
  }, 90_000);

  afterAll(async () => {
    client?.close();
    await mesh?.stop();
  }, 60_000);

  function write(key: string, text: string, delayMs = 0): Promise<UnaryResult> {
    const metadata = new Metadata();
    metadata.set("idempotency-key", key);
    return client.unary({ text, delay_ms: delayMs }, { metadata, deadlineMs: 10_000 });
  }

  /** The answer of the proxy that was started again, once calls reach it. */
  async function afterRestart(key: string, text: string, delayMs = 0): Promise<UnaryResult> {
    await echo.process.stop("SIGKILL");
    await echo.start().said("ready");
    let answer = await write(key, text, delayMs);
    const isBack = async (): Promise<boolean> => {
      answer = await write(key, text, delayMs);
      return answer.code === 0 || /outcome unknown/.test(answer.details);
    };
    await until("the proxy is back", isBack, 30_000, () => answer.details);
    return answer;
  }

  test("a keyed write is applied once, although its proxy is killed and its client asks again", async () => {
    const first = await write("k1", "pay 7");
    expect([first.code, first.response?.text]).toEqual([0, "pay 7"]);
    const [sequence] = first.trailers.get("ashlar-sequence");
    expect(sequence).toMatch(/^[1-9][0-9]*$/);
    const again = await afterRestart("k1", "pay 7");
    expect(again.response).toEqual(first.response);
    expect(again.trailers.get("ashlar-sequence")).toEqual([sequence]);
    expect((await write("k1", "pay 8")).code).toBe(status.FAILED_PRECONDITION);
    // without a further entry the application was not called again
    const entries = await mesh.json(0, "journal", "list", "--service", "echo", "--key", "k1");
    expect(entries).toMatchObject([{ sequence: Number(sequence), outcome: { code: 0 } }]);
  }, 120_000);

  test("a write whose proxy is killed while the application has it is unknown, and not applied again", async () => {
    const lost = write("k3", "pay 1", 60_000);
    await until("the entry is stored", async () => (await write("k4", "pay 2")).code === 0);
    const again = await afterRestart("k3", "pay 1", 60_000);
    expect((await lost).code).not.toBe(0);
    expect(again.code).toBe(status.UNAVAILABLE);
    expect(again.details).toMatch(/^outcome unknown \(sequence [0-9]+\)$/);
  }, 120_000);

  test("the journal holds, live and exported, and a file that was changed is named", async () => {
    const live = await mesh.json(0, "journal", "verify", "-o", "json");
    expect(live).toMatchObject({ ok: true, faults: [] });
    expect(live.entries).toBeGreaterThanOrEqual(3);
    const file = join(mesh.dir, `echo-${workers}.jsonl`);
    const { messages } = await mesh.json(
      0,
      "journal",
      "export",
      "--service",
      "echo",
      "--output-file",
      file,
      "-o",
      "json",
    );
    expect(await mesh.json(0, "journal", "verify", file, "-o", "json")).toMatchObject({ ok: true, messages });
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const without = (line: number) => lines.filter((_, at) => at !== line).join("\n");
    writeFileSync(file, without(2));
    const { ok, faults } = await mesh.json(1, "journal", "verify", file, "-o", "json");
    expect([ok, faults[0].sequence]).toEqual([false, 2]);
    writeFileSync(file, without(lines.length - 1));
    expect((await mesh.json(1, "journal", "verify", file, "-o", "json")).faults[0].why).toMatch(
      /missing: the end was cut/,
    );
  }, 60_000);
});
