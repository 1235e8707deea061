/** A call through two proxies looks, to both ends, as if nothing stood between. */

import { Metadata, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ByteClient, ByteHandlers } from "../../support/byte-service.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

let seen = new Metadata();
let cancelled = 0;
let written = 0;
let deadline: unknown;

const handlers: ByteHandlers = {
  Unary: (call, callback) => {
    seen = call.metadata;
    deadline = call.getDeadline();
    const text = call.request.toString("latin1", 0, 16);
    const trailers = new Metadata();
    trailers.set("x-trailer", "end");
    trailers.add("x-trace-bin", Buffer.from([0, 255, 1]));
    if (text === "fail")
      return callback({ code: status.FAILED_PRECONDITION, details: "not ä now", metadata: trailers });
    if (text === "wait") return void call.on("cancelled", () => (cancelled += 1));
    const headers = new Metadata();
    headers.set("x-header", "begin");
    call.sendMetadata(headers);
    return callback(null, call.request, trailers);
  },
  ServerStream: (call) => {
    const [count = 0, bytes = 1] = call.request.toString().split(",").map(Number);
    written = 0;
    call.on("cancelled", () => (cancelled += 1));
    const next = () => {
      if (call.cancelled) return;
      if (written === count) return void call.end();
      written += 1;
      if (call.write(Buffer.alloc(bytes, written % 256))) setImmediate(next);
      else call.once("drain", next);
    };
    next();
  },
  ClientStream: (call, callback) => {
    let bytes = 0;
    call.on("data", (chunk: Buffer) => (bytes += chunk.length));
    call.on("end", () => callback(null, Buffer.from(String(bytes))));
  },
  Bidi: (call: ServerDuplexStream<Buffer, Buffer>) => {
    call.on("data", (chunk: Buffer) => call.write(chunk));
    call.on("end", () => call.end());
    call.on("cancelled", () => (cancelled += 1));
  },
};

describe("forwarding", () => {
  let pair: ProxyPair;
  let client: ByteClient;
  beforeAll(async () => {
    pair = await ProxyPair.start(handlers);
    client = pair.client();
  });
  afterAll(() => pair.stop());

  test("a unary call keeps message, metadata, binary metadata and trailers", async () => {
    const metadata = new Metadata();
    metadata.add("x-many", "one");
    metadata.add("x-many", "two");
    metadata.add("x-raw-bin", Buffer.from([1, 0, 254]));
    const { error, response, headers, trailers } = await client.unary(Buffer.from("hello"), metadata);
    expect(error).toBeUndefined();
    expect(response?.toString()).toBe("hello");
    expect(seen.get("x-many").join()).toMatch(/^one, ?two$/);
    expect(seen.get("x-raw-bin")).toEqual([Buffer.from([1, 0, 254])]);
    expect(headers?.get("x-header")).toEqual(["begin"]);
    expect(trailers.get("x-trailer")).toEqual(["end"]);
    expect(trailers.get("x-trace-bin")).toEqual([Buffer.from([0, 255, 1])]);
    expect(trailers.get("ashlar-revision")).toEqual(["1"]);
  });

  test("the application learns who calls, and gets a traceparent", async () => {
    await client.unary(Buffer.from("hello"));
    expect(seen.get("ashlar-caller")).toEqual(["spiffe://test/service/shop"]);
    expect(String(seen.get("traceparent")[0])).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    expect(seen.get("ashlar-epoch")).toEqual([]);
  });

  test("a valid traceparent passes, an invalid one is replaced with its tracestate", async () => {
    const metadata = new Metadata();
    const parent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    metadata.set("traceparent", parent);
    metadata.set("tracestate", "a=b");
    await client.unary(Buffer.from("x"), metadata);
    expect(seen.get("traceparent")).toEqual([parent]);
    expect(seen.get("tracestate")).toEqual(["a=b"]);
    metadata.set("traceparent", `00-${"0".repeat(32)}-${"b".repeat(16)}-01`);
    await client.unary(Buffer.from("x"), metadata);
    expect(seen.get("traceparent")).not.toEqual([`00-${"0".repeat(32)}-${"b".repeat(16)}-01`]);
    expect(seen.get("tracestate")).toEqual([]);
  });

  test("a status with details and metadata passes, trailers-only included", async () => {
    const { error, trailers } = await client.unary(Buffer.from("fail"));
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: "not ä now" });
    expect(trailers.get("x-trailer")).toEqual(["end"]);
    expect(trailers.get("ashlar-revision")).toEqual(["1"]);
  });

  test("messages of 8 MiB pass both ways", async () => {
    const large = Buffer.alloc(8 * 1024 * 1024, 7);
    const { error, response } = await client.unary(large);
    expect(error).toBeUndefined();
    expect(response?.equals(large)).toBe(true);
  });

  test("server streaming gives every message in order", async () => {
    const got: number[] = [];
    for await (const chunk of client.serverStream(Buffer.from("300,100"))) got.push(chunk[0]);
    expect(got).toEqual(Array.from({ length: 300 }, (_, index) => (index + 1) % 256));
  });

  test("client streaming gives one answer to all messages", async () => {
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      const call = client.clientStream((error, response) => (error ? reject(error) : resolve(response)));
      for (let index = 0; index < 100; index++) call.write(Buffer.alloc(1000));
      call.end();
    });
    expect(answer?.toString()).toBe("100000");
  });

  test("bidirectional streaming ping-pongs", async () => {
    const call = client.bidi();
    for (let index = 0; index < 20; index++) {
      const answer = new Promise<Buffer>((resolve) => call.once("data", resolve));
      call.write(Buffer.from(`ping ${index}`));
      expect((await answer).toString()).toBe(`ping ${index}`);
    }
    const end = new Promise((resolve) => call.once("end", resolve));
    call.end();
    await end;
  });

  test("a cancelled call is cancelled at the server", async () => {
    const before = cancelled;
    const call = client.serverStream(Buffer.from("1000000,1000"));
    call.on("error", () => {});
    await new Promise((resolve) => call.once("data", resolve));
    call.cancel();
    await eventually("the server sees it", () => cancelled === before + 1);
    await eventually("no call is open", () => pair.inbound.open.size === 0);
  });

  test("the remaining time is forwarded, and 4 is answered when it is over", async () => {
    const before = cancelled;
    const endMs = Date.now() + 2000;
    const { error } = await client.unary(Buffer.from("wait"), new Metadata(), { deadline: endMs });
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(Number(deadline)).toBeGreaterThan(endMs - 2000);
    expect(Number(deadline)).toBeLessThan(endMs + 2000); // what it takes to arrive is not known there
    await eventually("the server sees it", () => cancelled === before + 1);
  });

  test("I8: a reader that does not read stops the writer; nothing is buffered beyond the windows", async () => {
    const call = client.serverStream(Buffer.from("100000,16384"));
    call.on("error", () => {});
    await new Promise((resolve) => call.once("readable", resolve));
    let last = 0;
    let quiet = 0;
    await eventually("the writer has stood still for 30 looks", () => {
      quiet = written === last ? quiet + 1 : 0;
      last = written;
      return written > 0 && quiet >= 30;
    });
    expect(last * 16384).toBeLessThan(4 * 1024 * 1024);
    const other = await client.unary(Buffer.from("others go on"));
    expect(other.error).toBeUndefined();
    call.cancel();
    await eventually("no call is open", () => pair.inbound.open.size === 0);
  });
});
