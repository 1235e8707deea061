import type { ClientHttp2Stream } from "node:http2";
import { afterEach, expect, test } from "@jest/globals";
import { ProxyPair } from "../../support/proxy-pair.js";

let pair: ProxyPair;
afterEach(() => pair.stop());

/** Hands over the response's headers after the first data, as node:http2 does at times over TLS. */
function delayResponse(stream: ClientHttp2Stream): ClientHttp2Stream {
  const emit = stream.emit.bind(stream);
  let response: unknown[] | undefined;
  stream.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event === "response") {
      response = args;
      return true;
    }
    const held = response;
    if (event === "data" && held !== undefined) {
      response = undefined;
      process.nextTick(() => emit("response", ...held));
    }
    return emit(event, ...args);
  };
  return stream;
}

test("data that is handed over before the response's headers is sent after them", async () => {
  pair = await ProxyPair.start({
    Unary: (call, respond) => respond(null, call.request),
    ServerStream: (call) => {
      for (let count = 0; count < 3; count++) call.write(Buffer.alloc(100_000, count));
      call.end();
    },
  });
  const { pool } = pair.callee;
  const acquire = pool.acquire.bind(pool);
  pool.acquire = async (target) => {
    const slot = await acquire(target);
    return { open: (headers) => delayResponse(slot.open(headers)), release: () => slot.release() };
  };
  const { error, response } = await pair.client().unary(Buffer.from("hello"));
  expect([error, response?.toString()]).toEqual([undefined, "hello"]);
  const stream = pair.client().serverStream(Buffer.alloc(1));
  const sizes: number[] = [];
  stream.on("data", (chunk: Buffer) => sizes.push(chunk.length));
  await new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  expect(sizes).toEqual([100_000, 100_000, 100_000]);
});
