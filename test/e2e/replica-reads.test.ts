/** Reads at a replica that follows the journal of its own service: no caller misses a write that it knows of. */
import { join } from "node:path";
import {
  loadPackageDefinition,
  Metadata,
  Server,
  type ServerUnaryCall,
  type ServiceClientConstructor,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { join as joinMesh, type Mesh } from "../../sdk/index.js";
import { EchoClient, type EchoRequest, type EchoResponse, type UnaryResult } from "../support/echo-client.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { repository } from "../support/processes.js";
import { until } from "../support/until.js";

const policy = `kind: Service
name: front
---
kind: Service
name: echo
noSideEffects: [test.Echo/Unary]
---
kind: Authorization
name: front-calls-echo
service: echo
allow: [{ from: [front], methods: [test.Echo/Unary, test.Echo/Forbidden] }]
---
kind: Route
name: echo
service: echo
rules: [{ split: [{ version: v1, weight: 1 }] }]
---
kind: Journal
name: books
service: echo
methods: [test.Echo/Forbidden]
mode: before
response: bytes
readers: [echo]
`;
const withReplica = `${policy}reads: { replica: { version: v2, wait: 2s } }\n`;

/** The replica: it answers with the writes that it has applied, and can be held back. */
class Replica {
  readonly applied: string[] = [];
  #held: Promise<void> | undefined;
  release: () => void = () => {};
  mesh: Mesh | undefined;

  async serve(agent: string): Promise<Mesh> {
    const definition = loadSync(join(repository, "test/support/echo.proto"), { keepCase: true, defaults: true });
    // biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types
    const Echo = (loadPackageDefinition(definition) as any).test.Echo as ServiceClientConstructor;
    const server = new Server();
    const unary = (_call: ServerUnaryCall<EchoRequest, EchoResponse>, done: sendUnaryData<EchoResponse>): void =>
      done(null, { text: this.applied.join(), payload: Buffer.alloc(0), caller: "", version: "v2", count: 0 });
    server.addService(Echo.service, {
      Unary: unary,
      ServerStream() {},
      ClientStream() {},
      Bidi() {},
      Forbidden: unary,
    });
    this.mesh = await joinMesh({ service: "echo", agent });
    await this.mesh.serve(server);
    return this.mesh;
  }

  hold(): void {
    this.#held = new Promise((resolve) => {
      this.release = () => {
        this.#held = undefined;
        resolve();
      };
    });
  }

  /** Follows the journal until it leaves the mesh. */
  async follow(mesh: Mesh): Promise<void> {
    mesh.applied({ position: 0 });
    for await (const event of mesh.events("echo")) {
      await this.#held;
      this.applied.push(String(event.sequence));
      mesh.applied(event);
    }
  }
}

describe.each([1, 2])("with %i processes", (workers) => {
  let mesh: TestMesh;
  let second: TestProxy;
  let client: EchoClient;
  const replica = new Replica();
  let following: Promise<void> | undefined;

  beforeAll(async () => {
    mesh = await TestMesh.start();
    const flags = ["--workers", String(workers)];
    const [first, copy, front] = await Promise.all([
      mesh.proxy({ name: "first", service: "echo" }),
      mesh.proxy({ name: "second", service: "echo", version: "v2", flags }),
      mesh.proxy({ name: "front", service: "front" }),
    ]);
    second = copy;
    await mesh.app(first, "echo");
    await mesh.apply(policy);
    await replica.serve(second.agent);
    await mesh.healthy("echo", 2);
    client = new EchoClient(front.outbound, "echo");
  }, 120_000);

  afterAll(async () => {
    replica.release();
    await replica.mesh?.leave({ timeoutMs: 1000 });
    await following?.catch(() => {});
    client?.close();
    await mesh?.stop();
  }, 60_000);

  async function write(text: string): Promise<string> {
    const { code, trailers } = await client.unary({ text }, { method: "Forbidden" });
    expect(code).toBe(0);
    return String(trailers.get("ashlar-sequence")[0]);
  }

  function read(after?: string, deadlineMs = 10_000): Promise<UnaryResult> {
    const metadata = new Metadata();
    if (after !== undefined) metadata.set("ashlar-after-sequence", after);
    return client.unary({ text: "read" }, { metadata, deadlineMs });
  }

  test("it is refused at publish until the replica's application reports what it has applied", async () => {
    const refused = await mesh.json(1, "apply", "-f", mesh.policy("replica.yaml", withReplica));
    expect(refused.findings).toContainEqual(
      expect.objectContaining({
        severity: "error",
        message: expect.stringMatching(/\(v2\) does not report what it has applied, .* have it call mesh\.applied\(\)/),
      }),
    );
    following = replica.follow(replica.mesh as Mesh);
    const isApplied = async (): Promise<boolean> =>
      (await mesh.cli("apply", "-f", mesh.policy("replica.yaml", withReplica), "--wait")).code === 0;
    await until("it can be published", isApplied, 20_000);
  }, 60_000);

  test("reads go to the replica and writes to the primary, and a read has in it the write that it names", async () => {
    const isReplica = async (): Promise<boolean> => (await read()).response?.version === "v2";
    await until("reads go to the replica", isReplica, 20_000);
    for (const text of ["a", "b", "c"]) {
      const sequence = await write(text);
      const { response } = await read(sequence);
      expect(response?.version).toBe("v2");
      expect(response?.text.split(",")).toContain(sequence);
    }
  }, 60_000);

  test("a read waits for a replica that lags, and goes to the primary when it has waited", async () => {
    replica.hold();
    const sequence = await write("d");
    const waiting = read(sequence);
    const plain = await read();
    expect([plain.response?.version, plain.response?.text.split(",").includes(sequence)]).toEqual(["v2", false]);
    replica.release();
    const { response } = await waiting;
    expect([response?.version, response?.text.split(",").includes(sequence)]).toEqual(["v2", true]);

    replica.hold();
    const late = await write("e");
    const [whole, short] = await Promise.all([read(late), read(late, 4000)]);
    expect([whole.code, whole.response?.version, short.code, short.response?.version]).toEqual([0, "v1", 0, "v1"]);
    expect(whole.trailers.get("ashlar-unprocessed")).toEqual([]);
    replica.release();
    expect((await read(late)).response?.version).toBe("v2");
  }, 60_000);

  test("what names no write is refused, and a write that is not there yet goes to the primary", async () => {
    expect(await read("soon")).toMatchObject({ code: 3, details: "ashlar-after-sequence is not a sequence" });
    expect((await read("999999999", 4000)).response?.version).toBe("v1");
  }, 60_000);

  test("an application that comes back knows where it was, and one that reports nothing is named in status", async () => {
    const last = await write("f");
    expect((await read(last)).response?.version).toBe("v2");
    await replica.mesh?.leave({ timeoutMs: 5000 });
    await following;
    await until("reads go to the primary", async () => (await read(last)).response?.version === "v1", 20_000);

    const mute = new Replica();
    const silent = await mute.serve(second.agent);
    const isBack = async (): Promise<boolean> => (await read()).response?.version === "v2";
    await until("the replica is back", isBack, 20_000);
    expect((await read(last)).response?.version).toBe("v1");
    const isTold = async (): Promise<boolean> =>
      JSON.stringify(await mesh.json(0, "status")).includes('"code":"replica-silent"');
    await until("status names it", isTold, 20_000);

    // it has everything up to a position, and was asked about a write by its sequence alone
    const [entry] = (await mesh.json(0, "journal", "list", "--service", "echo")).slice(-1);
    silent.applied({ position: entry.sequence + 10 });
    await until("the position counts", async () => (await read(last)).response?.version === "v2", 20_000);
    await silent.leave({ timeoutMs: 1000 });
  }, 120_000);
});
