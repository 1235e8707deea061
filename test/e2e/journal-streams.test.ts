/** Streamed writes through the journal of a real mesh, by a client in Python; proxies are killed between two messages. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerReadableStream } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { join as joinMesh } from "../../sdk/index.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { repository } from "../support/processes.js";
import { until } from "../support/until.js";

const policy = `${frontMayCall}---
kind: Service
name: books
---
kind: Journal
name: echo-writes
service: echo
methods: [test.Echo/ClientStream]
mode: before
idempotencyKey: request.headers["idempotency-key"]
response: bytes
streamMax: 1MiB
readers: [books]
replayers: [admin]
`;

const same = (bytes: Buffer): Buffer => bytes;

/** An application outside the mesh: the streams that it got. */
async function startOther() {
  const streams: Buffer[][] = [];
  const path = "/test.Echo/ClientStream";
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const server = new Server();
  server.addService(
    { ClientStream: { path, requestStream: true, responseStream: false, ...codec } },
    {
      ClientStream(call: ServerReadableStream<Buffer, Buffer>, done: (error: null, answer: Buffer) => void) {
        const own: Buffer[] = [];
        call.on("data", (message: Buffer) => own.push(message));
        call.on("end", () => {
          streams.push(own);
          done(null, Buffer.alloc(0));
        });
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, streams, stop: () => server.forceShutdown() };
}

let mesh: TestMesh;
let echo: TestProxy;
let front: TestProxy;
let books: TestProxy;

describe.each([1, 2])("with %i processes", (workers) => {
  beforeAll(async () => {
    mesh = await TestMesh.start();
    [echo, front, books] = await Promise.all([
      mesh.proxy({ name: "echo", service: "echo", flags: ["--workers", String(workers)] }),
      mesh.proxy({ name: "front", service: "front" }),
      mesh.proxy({ name: "books", service: "books" }),
    ]);
    await mesh.app(echo, "echo");
    await mesh.apply(policy);
    await mesh.healthy("echo", 1);
  }, 90_000);

  afterAll(async () => {
    await mesh?.stop();
  }, 60_000);

  /** A client that streams what it is given. `said`: what it printed at its end. */
  function begin(key: string) {
    const script = join(repository, "test/e2e/stream_client.py");
    const child = spawn("/usr/bin/python3", [script, front.outbound, "echo", key], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    const said = once(child, "close").then(() => text.trim());
    return { send: (line: string) => child.stdin.write(`${line}\n`), end: () => child.stdin.end(), said };
  }

  async function stream(key: string, ...lines: readonly string[]): Promise<string> {
    const client = begin(key);
    for (const line of lines) client.send(line);
    client.end();
    return client.said;
  }

  const messages = async (): Promise<number> => (await mesh.json(0, "journal", "verify", "-o", "json")).messages;

  test("a stream is one entry, to operators, to readers and to a replay", async () => {
    const [code, count, sequence] = (await stream("k1", "one", "two", "three")).split(" ");
    expect([code, count]).toEqual(["OK", "3"]);
    expect(await stream("k1", "one", "two", "three")).toBe(`OK 3 ${sequence}`);
    expect(await stream("k1", "one", "other")).toMatch(/^FAILED_PRECONDITION /);
    const [entry, ...more] = await mesh.json(0, "journal", "list", "--service", "echo");
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ sequence: Number(sequence), valid: true, outcome: { code: 0 } });
    expect(entry.messagesRecords).toBeGreaterThanOrEqual(1);
    const shown = await mesh.cli("journal", "show", "echo", String(sequence));
    expect(shown.code).toBe(0);

    const reader = await joinMesh({ service: "books", agent: books.agent });
    for await (const event of reader.events("echo")) {
      expect(event.sequence).toBe(Number(sequence));
      const texts = event.requests.map((request) => request.toString());
      expect(texts.map((text, at) => text.includes(["one", "two", "three"][at] ?? ""))).toEqual([true, true, true]);
      break;
    }
    await reader.leave();
    const other = await startOther();
    const checkpoint = ["--checkpoint", join(mesh.dir, `replay-${workers}.json`)];
    const to = ["--service", "echo", "--target", `127.0.0.1:${other.port}`, ...checkpoint];
    const replayed = await mesh.cli("journal", "replay", ...to, "-o", "json");
    other.stop();
    expect(JSON.parse(replayed.stdout)).toMatchObject({ entries: 1, sent: 1, diverged: 0, complete: true });
    expect(other.streams).toEqual([[expect.any(Buffer), expect.any(Buffer), expect.any(Buffer)]]);
    expect(String(other.streams[0]?.[2])).toContain("three");
  }, 120_000);

  test("a stream whose proxy is killed between two messages is no write; its repeat is one", async () => {
    const before = await messages();
    const client = begin("k2");
    for (const line of ["one", "two"]) client.send(line);
    await until("the messages are in the journal", async () => (await messages()) > before);
    await echo.process.stop("SIGKILL");
    expect(await client.said).toMatch(/^UNAVAILABLE /);
    await echo.start().said("ready");
    let said = "";
    await until(
      "the proxy is back",
      async () => {
        said = await stream("k2", "one", "two", "three");
        return said.startsWith("OK");
      },
      60_000,
      () => said,
    );
    expect(said).toMatch(/^OK 3 /);
    const entries = await mesh.json(0, "journal", "list", "--service", "echo", "--key", "k2");
    expect(entries).toMatchObject([{ valid: true, outcome: { code: 0 } }]);
    expect(await mesh.json(0, "journal", "verify", "-o", "json")).toMatchObject({ ok: true, faults: [] });
  }, 120_000);
});
