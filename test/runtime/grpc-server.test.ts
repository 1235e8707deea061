import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, credentials, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { AshlarError } from "../../core/errors.js";
import {
  AdminServiceService,
  WatchActivationsRequest,
  type WatchActivationsResponse,
} from "../../proto/gen/ashlar/v1/admin.js";
import { AgentServiceService } from "../../proto/gen/ashlar/v1/agent.js";
import { GetNonceResponse, JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import { systemClock } from "../../runtime/clock.js";
import { callServerStream, callUnary, connectGrpc } from "../../runtime/grpc-client.js";
import {
  type BoundService,
  bidi,
  bindService,
  type CallContext,
  serverStreaming,
  unary,
} from "../../runtime/grpc-handlers.js";
import { type GrpcServer, type GrpcServerOptions, startGrpcServer } from "../../runtime/grpc-server.js";
import { silentLogger } from "../../runtime/log.js";
import { until } from "../support/until.js";

const toStop: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

function refuse(): never {
  throw new AshlarError("not_supported", "not here");
}

function joinService(getNonce: (context: CallContext) => Promise<Buffer>): BoundService {
  return bindService(JoinServiceService, {
    getTrust: unary(refuse),
    join: unary(refuse),
    renew: unary(refuse),
    offer: unary(refuse),
    issueReader: unary(refuse),
    getNonce: unary(async (_request, context) => GetNonceResponse.fromPartial({ nonce: await getNonce(context) })),
  });
}

async function start(services: readonly BoundService[], more: Partial<GrpcServerOptions> = {}): Promise<GrpcServer> {
  const server = await startGrpcServer({
    bind: "127.0.0.1:0",
    credentials: ServerCredentials.createInsecure(),
    services,
    log: silentLogger,
    clock: systemClock,
    ...more,
  });
  toStop.push(() => server.stop(0));
  return server;
}

function connect(address: string): Client {
  const client = connectGrpc({ address, credentials: credentials.createInsecure() });
  toStop.push(() => client.close());
  return client;
}

const nonce = (client: Client, timeoutMs = 5000, signal?: AbortSignal) =>
  callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs, ...(signal && { signal }) });

describe("the gRPC server", () => {
  test("answers a unary call and tells the handler who calls", async () => {
    const contexts: CallContext[] = [];
    const server = await start([
      joinService(async (context) => {
        contexts.push(context);
        return Buffer.from([1, 2]);
      }),
    ]);
    expect(server.address).toBe(`127.0.0.1:${server.port}`);
    expect((await nonce(connect(server.address))).nonce).toEqual(Buffer.from([1, 2]));
    expect(contexts[0]).toMatchObject({
      caller: undefined,
      certificateSerial: undefined,
      method: "/ashlar.v1.JoinService/GetNonce",
    });
    expect(contexts[0]?.source).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(contexts[0]?.deadlineMs).toBeGreaterThan(Date.now());
  });

  test("errors reach the client as AshlarError, unknown ones as internal error and in the log", async () => {
    let thrown: unknown = new AshlarError("stale", "it is old");
    const logged: string[] = [];
    const log = {
      ...silentLogger,
      error: (_message: string, fields?: object) => void logged.push(JSON.stringify(fields)),
    };
    const server = await start([joinService(() => Promise.reject(thrown))], { log });
    const client = connect(server.address);
    await expect(nonce(client)).rejects.toMatchObject({ code: "stale", message: "it is old" });
    thrown = new TypeError("x is not a function");
    await expect(nonce(client)).rejects.toMatchObject({ code: "internal", message: "internal error" });
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain("x is not a function");
  });

  test("cancellation and deadline reach the handler's signal", async () => {
    let aborted = 0;
    let entered = () => {};
    const server = await start([
      joinService(
        (context) =>
          new Promise(() => {
            context.signal.addEventListener("abort", () => aborted++);
            entered();
          }),
      ),
    ]);
    const client = connect(server.address);
    const controller = new AbortController();
    entered = () => controller.abort();
    await expect(nonce(client, 5000, controller.signal)).rejects.toMatchObject({ code: "unavailable" });
    entered = () => {};
    await expect(nonce(client, 1000)).rejects.toMatchObject({ code: "deadline" });
    await until("both handlers are told", () => aborted === 2);
    await expect(nonce(client, 100, AbortSignal.abort())).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a server stream ends well, fails with its status, and is returned when the caller leaves", async () => {
    let finished = false;
    const methods = Object.fromEntries(Object.keys(AdminServiceService).map((name) => [name, unary(refuse)]));
    const watch = serverStreaming<{ afterEpoch?: number }, object>(async function* (_request, { signal }) {
      try {
        yield {};
        yield {};
        if (mode === "fail") throw new AshlarError("limit", "no more");
        if (mode === "hang") await new Promise((resolve) => signal.addEventListener("abort", resolve));
      } finally {
        finished = true;
      }
    });
    const service = { definition: AdminServiceService, implementation: { ...methods, watchActivations: watch } };
    let mode = "end";
    const server = await start([service as unknown as BoundService]);
    const client = connect(server.address);
    const read = async (stopAfter: number) => {
      let count = 0;
      for await (const _ of callServerStream(
        client,
        AdminServiceService.watchActivations,
        WatchActivationsRequest.fromPartial({}),
        {},
      )) {
        if (++count === stopAfter) break;
      }
      return count;
    };
    expect(await read(9)).toBe(2);
    mode = "fail";
    await expect(read(9)).rejects.toMatchObject({ code: "limit", message: "no more" });
    mode = "hang";
    finished = false;
    expect(await read(2)).toBe(2);
    await until("the stream is returned", () => finished);
  });

  test("a bidirectional handler works on the raw call over a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "grpc-"));
    toStop.push(() => rmSync(folder, { recursive: true }));
    const bind = `unix:${join(folder, "s.sock")}`;
    const sources: string[] = [];
    const service = bindService(
      AgentServiceService as never,
      {
        register: bidi<object, object>((call, context) => {
          sources.push(context.source);
          call.on("data", () => call.write({}));
          call.on("end", () => call.end());
        }),
      } as never,
    );
    await start([service], { bind });
    const client = connect(bind);
    const { path, requestSerialize, responseDeserialize } = AgentServiceService.register;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const done = new Promise<number>((resolve, reject) => {
      let count = 0;
      call.on("data", () => count++);
      call.on("end", () => resolve(count));
      call.on("error", reject);
    });
    call.write({} as never);
    call.write({} as never);
    call.end();
    expect(await done).toBe(2);
    expect(sources).toEqual(["socket"]);
  });

  test("a taken port is said clearly", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    toStop.push(() => void blocker.close());
    const { port } = blocker.address() as { port: number };
    await expect(start([], { bind: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: "unavailable",
      message: `cannot listen on 127.0.0.1:${port}: it is taken by another process`,
    });
  });

  test("a message over the limit is refused with limit", async () => {
    const server = await start([joinService(async () => Buffer.alloc(1))], { messageBytesMax: 1000 });
    const client = connect(server.address);
    const request = { token: "x".repeat(2000), csr: Buffer.alloc(0), natsUser: "", service: "" };
    await expect(callUnary(client, JoinServiceService.join, request, { timeoutMs: 30_000 })).rejects.toMatchObject({
      code: "limit",
    });
  });

  test("a stream whose server takes the call and says nothing ends with `deadline`, also after an answer", async () => {
    let ended = 0;
    const { address } = await start([
      bindService(
        { watch: AdminServiceService.watchActivations },
        {
          watch: serverStreaming<WatchActivationsRequest, WatchActivationsResponse>(async function* (
            _request,
            { signal },
          ) {
            yield { activation: undefined };
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
            ended += 1;
          }),
        },
      ),
    ]);
    const { watchActivations } = AdminServiceService;
    const request = WatchActivationsRequest.fromPartial({});
    const watching = callServerStream(connect(address), watchActivations, request, { answerMs: 2000 });
    expect((await watching.next()).done).toBe(false);
    await expect(watching.next()).rejects.toMatchObject({ code: "deadline" });
    await until("the server is told", () => ended === 1);
  });

  test("bytes that are no request are the caller's mistake, with details, for unary calls and streams", async () => {
    const { address } = await start([
      joinService(async () => Buffer.alloc(0)),
      bindService({ watch: AdminServiceService.watchActivations }, { watch: serverStreaming(refuse) }),
    ]);
    const garbage = { requestSerialize: () => Buffer.alloc(40, 0xff), responseDeserialize: (bytes: Buffer) => bytes };
    const client = connect(address);
    const expected = { code: "invalid_argument", message: expect.stringContaining("are no request of /ashlar.v1.") };
    const joining = callUnary(client, { ...garbage, path: JoinServiceService.join.path }, {}, { timeoutMs: 30_000 });
    await expect(joining).rejects.toMatchObject(expected);
    const path = AdminServiceService.watchActivations.path;
    const watching = callServerStream(client, { ...garbage, path }, {}, { timeoutMs: 30_000 });
    await expect(watching.next()).rejects.toMatchObject(expected);
  });

  test("health and reflection answer", async () => {
    const server = await start([joinService(async () => Buffer.alloc(1))], {
      health: ["ashlar.v1.JoinService"],
      reflection: ["ashlar/v1/join.proto", "ashlar/v1/admin.proto"],
    });
    const client = connect(server.address);
    const check = {
      path: "/grpc.health.v1.Health/Check",
      requestSerialize: (service: string) => Buffer.concat([Buffer.from([10, service.length]), Buffer.from(service)]),
      responseDeserialize: (bytes: Buffer) => bytes[1],
    };
    expect(await callUnary(client, check, "ashlar.v1.JoinService", { timeoutMs: 30_000 })).toBe(1);
    server.setServing("ashlar.v1.JoinService", false);
    expect(await callUnary(client, check, "ashlar.v1.JoinService", { timeoutMs: 30_000 })).toBe(2);
    const call = client.makeBidiStreamRequest(
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes.toString("latin1"),
    );
    const answer = new Promise<string>((resolve, reject) => call.once("data", resolve).once("error", reject));
    call.write(Buffer.from([0x3a, 0x01, 0x2a])); // list_services
    expect(await answer).toContain("ashlar.v1.JoinService");
    expect(await answer).toContain("ashlar.v1.AdminService");
    const described = new Promise<string>((resolve, reject) => call.once("data", resolve).once("error", reject));
    const symbol = "ashlar.v1.CheckAccessRequest";
    call.write(Buffer.concat([Buffer.of(0x22, symbol.length), Buffer.from(symbol)])); // file_containing_symbol
    expect(await described).toContain("CheckAccessRequest");
    call.end();
  });

  test("stop lets a running call finish within the grace and cuts it after", async () => {
    let release = () => {};
    let running: Promise<GrpcServer> = Promise.reject(new Error());
    running.catch(() => {});
    const entered = new Promise<void>((enter) => {
      running = start([
        joinService(() => {
          enter();
          return new Promise((resolve) => {
            release = () => resolve(Buffer.of(7));
          });
        }),
      ]);
    });
    const server = await running;
    const answer = nonce(connect(server.address));
    await entered;
    const stopped = server.stop(5000);
    release();
    expect((await answer).nonce).toEqual(Buffer.of(7));
    await stopped;
    let enterSecond = () => {};
    const inSecond = new Promise<void>((resolve) => {
      enterSecond = resolve;
    });
    const second = await start([
      joinService(() => {
        enterSecond();
        return new Promise(() => {});
      }),
    ]);
    const stuck = nonce(connect(second.address)).catch((error: AshlarError) => error.code);
    await inSecond;
    await second.stop(50);
    expect(await stuck).toBe("unavailable");
  });
});
