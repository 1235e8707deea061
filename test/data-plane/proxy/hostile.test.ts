/** Peers and applications that send what no honest one would, down to the frame. The proxy answers or closes, and stays. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "@jest/globals";
import { inboundLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import type { ByteHandlers } from "../../support/byte-service.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";
import { block, frame, headers, preface, requestBlock, settings } from "../../support/wire.js";

const bytes: ByteHandlers = { Unary: (call, respond) => respond(null, call.request) };
let pair: ProxyPair;
let servers: Server[] = [];

afterEach(() => {
  pair.stop();
  for (const server of servers) server.close();
  servers = [];
});

/** An application that answers every connection as `speak` says. */
async function rawApplication(speak: (socket: Socket) => void): Promise<void> {
  const path = join(pair.dir, "raw.sock");
  const server = createServer((socket) => {
    socket.on("error", () => {});
    speak(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  pair.callee.app.set({ instance: "raw", target: { path } });
}

/** Answers the first HEADERS it sees with `answer`, for stream 1. */
function answering(...answer: readonly Buffer[]): (socket: Socket) => void {
  return (socket) => {
    socket.write(settings());
    let answered = false;
    socket.on("data", (chunk: Buffer) => {
      if (answered || !chunk.includes(Buffer.from([0x01, 0x04]))) return;
      answered = true;
      setTimeout(() => socket.write(Buffer.concat(answer)), 50);
    });
  };
}

function rawOutbound(): Socket {
  const socket = connect({ path: join(pair.dir, "out.sock") });
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

async function stillServes(): Promise<void> {
  await pair.startServer(bytes);
  const { code } = await unary();
  expect(code).toBe("0");
}

async function unary(headers: Record<string, string> = {}): Promise<{ code: string; message: string; rst: number }> {
  const raw = RawClient.unix(join(pair.dir, "out.sock"));
  const { headers: head, trailers, rstCode } = await raw.send({ ":scheme": "http", ...headers });
  raw.close();
  const all = { ...head, ...trailers } as Record<string, string>;
  return { code: String(all["grpc-status"]), message: String(all["grpc-message"]), rst: rstCode };
}

describe("callers", () => {
  test("a request that is reset in the same segment it began in does no harm, whatever it was", async () => {
    pair = await ProxyPair.start(bytes);
    const kinds = [
      requestBlock({ "content-type": "text/plain" }),
      requestBlock({ "x-many": "y".repeat(15_500) }),
      requestBlock({ ":method": "GET" }),
      requestBlock({}),
    ];
    for (const fields of kinds) {
      const socket = rawOutbound();
      const reset = frame(0x3, 0, 1, Buffer.from([0, 0, 0, 8]));
      socket.write(Buffer.concat([preface, settings(), headers(1, fields, { endStream: true }), reset]));
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.destroy();
    }
    await eventually("every call is over", () => pair.caller.metrics.open === 0);
    await stillServes();
  });

  test("garbage, half a preface and a closed connection do no harm", async () => {
    pair = await ProxyPair.start(bytes);
    for (const start of [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      preface.subarray(0, 10),
      Buffer.alloc(70_000, 0xff),
      Buffer.concat([preface, Buffer.alloc(9000, 0xfe)]),
      Buffer.concat([preface, settings(), Buffer.alloc(9000, 0xfe)]),
    ]) {
      const socket = rawOutbound();
      socket.write(start);
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.destroy();
    }
    await stillServes();
  });

  test("a connection whose framing broke is closed, whether the caller goes away or not", async () => {
    pair = await ProxyPair.start(bytes);
    const { inbound, address } = await pair.callee.inbound({
      ...inboundLimits,
      engine: { ...inboundLimits.engine, keepaliveMs: 50, keepaliveTimeoutMs: 100 },
    });
    const [host, port] = address.split(":");
    const { certificateChainPem, privateKeyPem } = pair.caller.identity.current;
    const open = (): Promise<TLSSocket> =>
      new Promise((resolve, reject) => {
        const socket = connectTls(
          {
            host,
            port: Number(port),
            ca: pair.pki.rootPem,
            cert: certificateChainPem,
            key: privateKeyPem,
            ALPNProtocols: ["h2"],
            checkServerIdentity: () => undefined,
          },
          () => resolve(socket),
        );
        socket.on("error", reject).resume();
      });
    const stays = await open();
    const closed = new Promise((resolve) => stays.once("close", resolve));
    stays.write(Buffer.concat([preface, settings(), Buffer.alloc(9000, 0xfe)]));
    const goes = await open();
    goes.write(Buffer.concat([preface, settings(), Buffer.alloc(9000, 0xfe)]), () => goes.destroy());
    const honest = await RawClient.mtls(address, pair.caller.identity.current, pair.pki.rootPem);
    await closed;
    await eventually("both are closed", () => pair.callee.metrics.connections === 1);
    expect((await honest.send({})).headers[":status"]).toBe(200);
    honest.close();
    inbound.close();
    stays.destroy();
  });

  test("a caller that takes no response is reset when its deadline passes, though the upstream has long answered", async () => {
    pair = await ProxyPair.start(bytes);
    const socket = rawOutbound();
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
    });
    const noWindow = frame(0x4, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));
    const data = frame(0x0, 1, 1, Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]));
    socket.write(Buffer.concat([preface, noWindow, headers(1, requestBlock({ "grpc-timeout": "1500m" })), data]));
    await eventually("the call is over", () => pair.caller.metrics.ended.length === 1);
    const reset = Buffer.from([0, 0, 4, 3, 0, 0, 0, 0, 1]); // RST_STREAM of stream 1
    await eventually("the stream is reset", () => received.includes(reset));
    socket.destroy();
  }, 15_000);
});

describe("applications", () => {
  const responses: readonly (readonly [string, string, readonly Buffer[]])[] = [
    ["garbage", "14", [Buffer.alloc(2000, 0xfe)]],
    [
      "a connection header",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["http2-settings", "x"],
            ["content-type", "application/grpc"],
          ]),
        ),
        frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2])),
      ],
    ],
    [
      "te",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["te", "gzip"],
            ["content-type", "application/grpc"],
          ]),
        ),
        frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2])),
      ],
    ],
    [
      "content-type twice",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
            ["content-type", "application/grpc"],
          ]),
        ),
        frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2])),
      ],
    ],
    [
      "bytes beyond ASCII",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
            ["x-a", "\xff\x80"],
          ]),
        ),
        frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2])),
      ],
    ],
    [
      "a trailer with a pseudo-header",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
          ]),
        ),
        headers(
          1,
          block([
            [":path", "/"],
            ["grpc-status", "0"],
          ]),
          { endStream: true },
        ),
      ],
    ],
    [
      "trailers with http2-settings",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
          ]),
        ),
        headers(
          1,
          block([
            ["grpc-status", "0"],
            ["http2-settings", "x"],
          ]),
          { endStream: true },
        ),
      ],
    ],
    [
      "trailers-only with http2-settings",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
            ["grpc-status", "0"],
            ["http2-settings", "x"],
          ]),
          { endStream: true },
        ),
      ],
    ],
    [
      "two final header blocks",
      "13",
      [
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
          ]),
        ),
        headers(
          1,
          block([
            [":status", "200"],
            ["content-type", "application/grpc"],
          ]),
        ),
        frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2])),
      ],
    ],
    [
      "status 0",
      "13",
      [
        headers(
          1,
          block([
            [":status", "000"],
            ["content-type", "application/grpc"],
          ]),
          { endStream: true },
        ),
      ],
    ],
    [
      "100-continue and then nothing",
      "13",
      [headers(1, block([[":status", "100"]])), frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2]))],
    ],
    ["101", "13", [headers(1, block([[":status", "101"]])), frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2]))]],
    ["PUSH_PROMISE", "14", [frame(0x5, 4, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), requestBlock({})]))]],
    ["GOAWAY(0)", "14", [frame(0x7, 0, 0, Buffer.alloc(8))]],
    ["GOAWAY with an error and data", "14", [frame(0x7, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 11, 1, 2, 3]))]],
    ["NO_ERROR reset", "13", [frame(0x3, 0, 1, Buffer.alloc(4))]],
    ["data before headers", "13", [frame(0x0, 0, 1, Buffer.alloc(10))]],
    [
      "an altsvc and an origin frame",
      "13",
      [
        frame(0xa, 0, 0, Buffer.from([0, 1, 97, 98])),
        frame(0xc, 0, 0, Buffer.from([0, 1, 97])),
        frame(0x3, 0, 1, Buffer.from([0, 0, 0, 2])),
      ],
    ],
  ];

  test.each(responses)(
    "%s: the caller gets %s and the proxy stays",
    async (_what, expected, answer) => {
      pair = await ProxyPair.start(bytes);
      await rawApplication(answering(...answer));
      const { code } = await unary();
      expect(code).toBe(expected);
      await stillServes();
    },
    10_000,
  );

  const firstSegments: readonly (readonly [string, Buffer])[] = [
    ["garbage", Buffer.alloc(2000, 0xfe)],
    ["a reset of the connection's stream", frame(0x3, 0, 0, Buffer.alloc(4))],
    ["GOAWAY", frame(0x7, 0, 0, Buffer.alloc(8))],
    ["GOAWAY(INTERNAL_ERROR)", frame(0x7, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]))],
    ["SETTINGS out of range", frame(0x4, 0, 0, Buffer.from([0, 4, 0xff, 0xff, 0xff, 0xff]))],
  ];
  test.each(firstSegments)("SETTINGS and %s at once: 14, and the proxy stays", async (_what, after) => {
    pair = await ProxyPair.start(bytes);
    await rawApplication((socket) => socket.end(Buffer.concat([settings(), after])));
    const { code } = await unary();
    expect(code).toBe("14");
    await stillServes();
  });
});
