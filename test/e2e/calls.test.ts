/** The path of a call through two real proxies: kinds, metadata, refusals, deadlines, cancellation. */

import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EchoClient, type EchoResponse } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { run } from "../support/processes.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let front: TestProxy;
let stranger: TestProxy;
let client: EchoClient;
let outsider: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  [front, stranger] = await Promise.all([
    mesh.proxy({ name: "front", service: "front" }),
    mesh.proxy({ name: "stranger", service: "stranger" }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
  outsider = new EchoClient(stranger.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  outsider?.close();
  await mesh?.stop();
}, 60_000);

async function collect(stream: AsyncIterable<EchoResponse>): Promise<EchoResponse[]> {
  const all: EchoResponse[] = [];
  for await (const response of stream) all.push(response);
  return all;
}

describe("an allowed call", () => {
  test("reaches the application, with the caller's SPIFFE ID, metadata both ways and the revision in trailers", async () => {
    const metadata = new Metadata();
    metadata.set("x-sent", "yes");
    metadata.set("x-echo-bin", Buffer.from([0, 1, 255]));
    const done = await client.unary({ text: "hello" }, { metadata });
    expect({ code: done.code, details: done.details }).toEqual({ code: status.OK, details: "OK" }); // grpc-js's own words
    expect(done.response?.text).toBe("hello");
    expect(done.response?.caller).toBe("spiffe://test/service/front");
    expect(done.headers.get("x-header")).toEqual(["yes"]);
    expect(done.trailers.get("x-trailer")).toEqual(["end"]);
    expect(done.trailers.get("x-echo-bin")).toEqual([Buffer.from([0, 1, 255])]);
    expect(done.trailers.get("ashlar-revision")).toEqual(["1"]);
  });

  test("streams from the server, to the server and both ways", async () => {
    const served = await collect(client.serverStream({ text: "s", count: 50 }));
    expect(served.map((response) => response.count)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    const sent = await client.clientStream(Array.from({ length: 20 }, (_, index) => ({ text: String(index) })));
    expect([sent.count, sent.text]).toEqual([20, "19"]);
    const both = client.bidi();
    const answers = collect(both);
    for (const text of ["a", "b", "c"]) both.write({ text });
    both.end();
    expect((await answers).map((response) => response.text)).toEqual(["a", "b", "c"]);
  });

  test("carries messages of 8 MiB unchanged", async () => {
    const payload = Buffer.alloc(8 * 1024 * 1024, "ashlar");
    const done = await client.unary({ payload });
    expect(done.code).toBe(status.OK);
    expect(done.response?.payload.equals(payload)).toBe(true);
  });

  test("hands on the application's own status, details and trailers", async () => {
    const done = await client.unary({ status: status.FAILED_PRECONDITION });
    expect([done.code, done.details]).toEqual([status.FAILED_PRECONDITION, "as asked"]);
    expect(done.trailers.get("x-trailer")).toEqual(["end"]);
  });

  test("ends with 4 at its deadline", async () => {
    const done = await client.unary({ delay_ms: 5000 }, { deadlineMs: 300 });
    expect(done.code).toBe(status.DEADLINE_EXCEEDED);
  });

  test("cannot forge who is calling", async () => {
    const metadata = new Metadata();
    metadata.set("ashlar-caller", "spiffe://test/service/admin");
    const done = await client.unary({ text: "x" }, { metadata });
    expect(done.response?.caller).toBe("spiffe://test/service/front");
  });

  test("can be cancelled in the middle of a stream, and the proxy goes on", async () => {
    const stream = client.serverStream({ count: 1_000_000, delay_ms: 5 });
    const ended = new Promise<number>((resolve) =>
      stream.on("error", (error: Error & { code: number }) => resolve(error.code)),
    );
    stream.once("data", () => stream.cancel());
    expect(await ended).toBe(status.CANCELLED);
    expect((await client.unary({ text: "after" })).code).toBe(status.OK);
  });
});

describe("a refused call", () => {
  test("is answered 7 with decision and revision, and no rule's name (I4)", async () => {
    for (const done of [
      await outsider.unary({ text: "x" }),
      await client.unary({ text: "x" }, { method: "Forbidden" }),
    ]) {
      expect(done.code).toBe(status.PERMISSION_DENIED);
      expect(done.details).toMatch(/^denied \(decision [A-Za-z0-9_-]+, revision 1\)$/);
      expect(done.trailers.get("ashlar-revision")).toEqual(["1"]);
      expect(done.trailers.get("ashlar-decision")).toHaveLength(1);
    }
  });

  test("to a service that nobody knows is answered 14 with a reason", async () => {
    const nobody = new EchoClient(front.outbound, "nobody");
    const done = await nobody.unary({ text: "x" });
    nobody.close();
    expect(done.code).toBe(status.UNAVAILABLE);
    expect(done.details).toContain("nobody");
  });

  test("`ashlar can` agrees with the proxies, for unknown callers and methods too", async () => {
    const can = (caller: string, method: string) => mesh.json(0, "can", caller, `echo/${method}`);
    expect(await can("front", "test.Echo/Unary")).toMatchObject({
      allowed: true,
      rule: "front-calls-echo/allow[0]",
      revision: 1,
      epoch: 1,
    });
    expect(await can("front", "test.Echo/Forbidden")).toMatchObject({ allowed: false, rule: "default-deny" });
    expect(await can("stranger", "test.Echo/Unary")).toMatchObject({ allowed: false });
    expect(await can("unheard-of", "test.Echo/Nothing")).toMatchObject({ allowed: false });
  });
});

describe("an application that no SDK joined", () => {
  test("is served by --app and called by a Python client through two proxies", async () => {
    const python = "/usr/bin/python3";
    const present = await run(python, ["-c", "import grpc, grpc_tools"]);
    if (present.code !== 0)
      throw new Error("python3-grpcio and python3-grpc-tools are not installed: npm run setup -- --tests");
    const socket = `${mesh.dir}/plain.sock`;
    await mesh.child("plain app", process.execPath, [
      "test/support/echo-app.mjs",
      "--listen",
      `unix:${socket}`,
      "--version",
      "v9",
    ]);
    await mesh.proxy({ name: "plain", service: "echo", version: "v9", flags: ["--app", `unix:${socket}`] });
    await mesh.healthy("echo", 2);
    let versions: string[] = [];
    await until(
      "the Python client reaches both",
      async () => {
        const done = await run(python, ["test/support/echo_client.py", front.outbound, "echo", "20"]);
        expect(done.stderr).toBe("");
        expect(done.code).toBe(0);
        versions = [...new Set(done.stdout.trim().split("\n"))].sort();
        return versions.length === 2;
      },
      20_000,
    );
    expect(versions).toEqual(["v1 spiffe://test/service/front", "v9 spiffe://test/service/front"]);
  }, 60_000);
});
