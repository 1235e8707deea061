import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { Echo } from "../../../bench/echo-server/echo.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { defaultLimits, type EngineLimits } from "../../../data-plane/http2/limits.js";
import { BlockPool } from "../../../data-plane/http2/output.js";
import { EngineCounters } from "../../../data-plane/http2/refusals.js";
import type { Stream, StreamSink } from "../../../data-plane/http2/stream.js";
import { EngineLoop } from "../../../data-plane/http2-sockets/engine-loop.js";
import { SocketConnection } from "../../../data-plane/http2-sockets/socket-connection.js";

const stops: Array<() => void | Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const rethrow = (error: unknown): void => {
  throw error;
};

function newDeps() {
  const loop = new EngineLoop(() => performance.now());
  stops.push(() => loop.stop());
  return { loop, counters: new EngineCounters(), pool: new BlockPool(), onFault: rethrow };
}

const identity = (bytes: Buffer) => bytes;
function method(path: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  const serialize = {
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
  return { path, requestStream, responseStream, ...serialize };
}
const echoService = {
  unary: method("/bench.Echo/Unary", false, false),
  chat: method("/bench.Echo/Chat", true, true),
};
const EchoClient = grpc.makeGenericClientConstructor(echoService, "Echo");

async function listening(server: NetServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function echoServer(
  onRequest?: (stream: Stream, fields: FieldBlock, end: boolean) => void,
  limits: Partial<EngineLimits> = {},
) {
  const deps = newDeps();
  const connections: SocketConnection[] = [];
  const owner = {
    onRequest(stream: Stream, fields: FieldBlock, end: boolean) {
      if (onRequest) onRequest(stream, fields, end);
      else stream.sink = new Echo(stream, fields, end);
    },
    onCapacity() {},
    onClosed() {},
  };
  const all: EngineLimits = {
    ...defaultLimits,
    requestRules: { ...defaultLimits.requestRules, grpcOnly: false },
    ...limits,
  };
  const port = await listening(
    createServer((socket: Socket) => {
      connections.push(new SocketConnection(socket, true, all, owner, deps));
    }),
  );
  return { port, connections, counters: deps.counters };
}

function clientOf(port: number) {
  const client = new EchoClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.use_local_subchannel_pool": 1,
  });
  stops.push(() => client.close());
  return client;
}

function unary(
  client: grpc.Client,
  bytes: Buffer,
  metadata = new grpc.Metadata(),
  options: grpc.CallOptions = {},
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest<Buffer, Buffer>(
      "/bench.Echo/Unary",
      identity,
      identity,
      bytes,
      metadata,
      options,
      (error, value) => {
        if (error) reject(error);
        else resolve(value ?? Buffer.alloc(0));
      },
    );
  });
}

const pattern = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * 7) & 0xff));

describe("the engine as a server", () => {
  test("answers grpc-js: small, empty and large messages, many at once", async () => {
    const { port } = await echoServer();
    const client = clientOf(port);
    expect(await unary(client, Buffer.from("hello"))).toEqual(Buffer.from("hello"));
    expect(await unary(client, Buffer.alloc(0))).toEqual(Buffer.alloc(0));
    const large = pattern(3_000_000);
    expect((await unary(client, large)).equals(large)).toBe(true);
    const many = await Promise.all(Array.from({ length: 300 }, (_, i) => unary(client, pattern(i))));
    expect(many.every((bytes, i) => bytes.equals(pattern(i)))).toBe(true);
  });

  test("streams both ways with grpc-js, and ends when the client cancels", async () => {
    const { port, connections } = await echoServer();
    const client = clientOf(port);
    const call = client.makeBidiStreamRequest("/bench.Echo/Chat", identity, identity, new grpc.Metadata());
    const got: Buffer[] = [];
    call.on("data", (bytes: Buffer) => got.push(bytes));
    const ended = new Promise<grpc.StatusObject>((resolve) => call.on("status", resolve));
    call.on("error", () => {});
    for (let i = 0; i < 100; i++) call.write(pattern(i * 10));
    call.end();
    expect((await ended).code).toBe(grpc.status.OK);
    expect(got.map(({ length }) => length)).toEqual(Array.from({ length: 100 }, (_, i) => i * 10));
    const open = client.makeBidiStreamRequest("/bench.Echo/Chat", identity, identity, new grpc.Metadata());
    const cancelled = new Promise<grpc.StatusObject>((resolve) => open.on("status", resolve));
    open.on("error", () => {});
    await new Promise((resolve) => {
      open.once("data", resolve);
      open.write(Buffer.from("x"));
    });
    open.cancel();
    expect((await cancelled).code).toBe(grpc.status.CANCELLED);
    await until(() => connections.every(({ connection }) => connection.streams.slots === 0));
  });

  test("keeps a deadline's RST_STREAM and goes on with the connection", async () => {
    const { port, counters } = await echoServer((stream, fields, end) => {
      if (fields.find(63) < 0) stream.sink = new Echo(stream, fields, end);
    });
    const client = clientOf(port);
    // A deadline that passes while the client still connects resets nothing.
    expect(await unary(client, Buffer.from("w"))).toEqual(Buffer.from("w"));
    await expect(
      unary(client, Buffer.from("x"), new grpc.Metadata(), { deadline: Date.now() + 2000 }),
    ).rejects.toMatchObject({ code: 4 });
    expect(await unary(client, Buffer.from("y"))).toEqual(Buffer.from("y"));
    await until(() => counters.peerResets === 1);
  });

  test("answers node:http2, with bodies and without", async () => {
    const { port } = await echoServer();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    stops.push(() => session.destroy());
    const ask = (headers: Record<string, string>, body?: Buffer) =>
      new Promise<{ status: number; bytes: Buffer }>((resolve, reject) => {
        const request = session.request(headers, { endStream: body === undefined });
        let status = 0;
        const chunks: Buffer[] = [];
        request.on("response", (answer) => {
          status = Number(answer[":status"]);
        });
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => resolve({ status, bytes: Buffer.concat(chunks) }));
        request.on("error", reject);
        if (body !== undefined) request.end(body);
      });
    const empty = await ask({ ":method": "GET", ":path": "/" });
    expect([empty.status, empty.bytes.length]).toEqual([200, 64]);
    const body = pattern(500_000);
    const full = await ask({ ":method": "PUT", ":path": "/anything?x", "x-long": "y".repeat(9000) }, body);
    expect(full.status).toBe(200);
    expect(full.bytes.equals(body)).toBe(true);
  });

  test("check 39: a drain loses no call", async () => {
    const held: Array<() => void> = [];
    const { port, connections } = await echoServer((stream, fields, end) => {
      const echo = new Echo(stream, fields, false);
      const wait: StreamSink = {
        onData: (each, bytes, from, to, last) => echo.onData(each, bytes, from, to, false === last && last),
        onTrailers: () => {},
        onResponse: () => {},
        onReset: () => {},
        onTaken: (each, bytes) => echo.onTaken(each, bytes),
      };
      stream.sink = wait;
      held.push(() => (end ? undefined : echo.onTrailers(stream)));
    });
    const client = clientOf(port);
    const calls = [unary(client, Buffer.from("a")), unary(client, Buffer.from("b"))];
    await until(() => held.length === 2);
    connections[0]?.shutdown();
    await until(() => connections[0]?.connection.control.lastTakenId !== 0x7fff_ffff);
    for (const go of held.splice(0)) go();
    expect((await Promise.all(calls)).map(String)).toEqual(["a", "b"]);
    const next = unary(client, Buffer.from("c"));
    await until(() => held.length === 1);
    held[0]?.();
    expect(String(await next)).toBe("c");
    expect(connections.length).toBe(2);
  });

  test("a peer that breaks the rules and then neither reads nor closes loses its socket all the same", async () => {
    const { port, connections, counters } = await echoServer();
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    stops.push(() => {
      socket.destroy();
    });
    socket.pause();
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    await until(() => counters.refused("preface") === 1);
    await until(() => connections[0]?.socket.destroyed === true);
  });

  test("a client that does not read its answer cannot go on sending, and gets all of it once it reads", async () => {
    let received = 0;
    const { port, connections } = await echoServer((stream, fields, end) => {
      const echo = new Echo(stream, fields, end);
      stream.sink = {
        onData(each, bytes, from, to, last) {
          received += to - from;
          echo.onData(each, bytes, from, to, last);
        },
        onTrailers: (each) => echo.onTrailers(each),
        onResponse() {},
        onReset() {},
        onTaken: (each, bytes) => echo.onTaken(each, bytes),
      };
    });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    stops.push(() => session.destroy());
    const request = session.request({ ":method": "POST", ":path": "/" });
    const body = pattern(2_000_000);
    request.end(body);
    await until(() => (connections[0]?.connection.sender.waitingBytes ?? 0) > 30_000);
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    // One window of the answer is with the client, one of the request waits here.
    expect(received).toBeLessThanOrEqual(2 * 65_535 + 32_768);
    expect(connections[0]?.connection.sender.waitingBytes).toBeLessThanOrEqual(65_535);
    const chunks: Buffer[] = [];
    const ended = new Promise((resolve) => request.on("end", resolve));
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    await ended;
    expect(Buffer.concat(chunks).equals(body)).toBe(true);
  });
});

class Recorder implements StreamSink {
  status = "";
  grpcStatus = "";
  message = "";
  readonly data: Buffer[] = [];
  done = false;
  reset: number | undefined;
  readonly #expected: (() => void) | undefined;

  constructor(expected?: () => void) {
    this.#expected = expected;
  }
  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.status = fields.valueText(fields.find(8));
    if (endStream) this.onTrailers(stream, fields);
  }
  onData(stream: Stream, bytes: Uint8Array, start: number, end: number): void {
    this.data.push(Buffer.from(bytes.subarray(start, end)));
    stream.consumed(end - start);
    this.#expected?.();
  }
  onTrailers(_stream: Stream, fields: FieldBlock): void {
    const status = fields.find(64);
    this.grpcStatus = status < 0 ? "" : fields.valueText(status);
    const message = fields.find(65);
    this.message = message < 0 ? "" : fields.valueText(message);
    this.done = true;
  }
  onReset(_stream: Stream, code: number): void {
    this.reset = code;
    this.done = true;
  }
  onTaken(): void {}
}

describe("the engine as a client", () => {
  async function grpcServer(): Promise<number> {
    const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
    server.addService(echoService, {
      unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) {
        if (call.request.toString() === "fail") callback({ code: 9, details: "not ½ good" });
        else callback(null, call.request);
      },
      chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on("data", (bytes: Buffer) => call.write(bytes));
        call.on("end", () => call.end());
        call.on("error", () => {});
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    stops.push(() => server.forceShutdown());
    return port;
  }

  async function dial(port: number): Promise<SocketConnection> {
    const socket = connect(port, "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    const owner = { onRequest() {}, onCapacity() {}, onClosed() {} };
    const client = new SocketConnection(socket, false, defaultLimits, owner, newDeps());
    await until(() => client.connection.control.settingsReceived);
    return client;
  }

  function start(
    client: SocketConnection,
    sink: StreamSink,
    path: string,
    message: Buffer,
    more: ReadonlyArray<readonly [string, string]> = [],
  ): Stream {
    const fields = new FieldBlock();
    const head = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", path],
      [":authority", "echo"],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
    ] as const;
    for (const [name, value] of [...head, ...more]) fields.add(name, value);
    const stream = client.connection.open(sink);
    if (stream === null) throw new Error("no stream");
    stream.sendFields(null, fields, null, false);
    stream.sendData(framed(message), 0, message.length + 5, path.endsWith("Unary"));
    return stream;
  }

  function framed(message: Buffer): Buffer {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    return Buffer.concat([prefix, message]);
  }

  test("calls grpc-js: unary, large, failing, unknown methods", async () => {
    const client = await dial(await grpcServer());
    const large = pattern(2_000_000);
    const cases: ReadonlyArray<readonly [string, Buffer, string]> = [
      ["/bench.Echo/Unary", Buffer.from("hello"), "0"],
      ["/bench.Echo/Unary", large, "0"],
      ["/bench.Echo/Unary", Buffer.from("fail"), "9"],
      ["/bench.Echo/None", Buffer.from("x"), "12"],
    ];
    for (const [path, message, status] of cases) {
      const call = new Recorder();
      start(client, call, path, message, [
        ["grpc-timeout", "10S"],
        ["x-custom", "1"],
      ]);
      await until(() => call.done);
      expect([call.status, call.grpcStatus, call.reset]).toEqual(["200", status, undefined]);
      if (status === "0") expect(Buffer.concat(call.data).equals(framed(message))).toBe(true);
      if (status === "9") expect(call.message).toBe("not%20%C2%BD%20good");
    }
  });

  test("streams with grpc-js", async () => {
    const client = await dial(await grpcServer());
    const call = new Recorder();
    const stream = start(client, call, "/bench.Echo/Chat", pattern(10));
    for (let i = 0; i < 50; i++) stream.sendData(framed(pattern(i)), 0, i + 5, false);
    stream.sendData(Buffer.alloc(0), 0, 0, true);
    await until(() => call.done);
    expect(call.grpcStatus).toBe("0");
    expect(Buffer.concat(call.data).length).toBe(15 + 50 * 5 + (49 * 50) / 2);
  });

  test("1000 calls of which every third is cancelled leave nothing behind", async () => {
    const client = await dial(await grpcServer());
    let done = 0;
    for (let i = 0; i < 1000; i++) {
      await until(() => client.connection.canOpen);
      const call = new Recorder();
      const stream = start(client, call, "/bench.Echo/Unary", pattern(100));
      if (i % 3 === 0) stream.reset(8);
      else await until(() => call.done);
      done++;
    }
    expect(done).toBe(1000);
    await until(() => client.connection.streams.slots === 0);
    expect(client.connection.dead).toBe(false);
  });
});

async function until(condition: () => boolean, boundMs = 30_000): Promise<void> {
  const end = performance.now() + boundMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it did not come to that in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
