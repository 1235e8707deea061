/** Connections of an address that has too many: each is counted, and few are logged. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import { afterEach, expect, test } from "@jest/globals";
import { type Door, Listener } from "../../../data-plane/proxy/forward/listener.js";
import { edgeLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import { listenOn } from "../../../runtime/listen.js";
import { type Logger, silentLogger } from "../../../runtime/log.js";
import { ProxyPair } from "../../support/proxy-pair.js";
import { untilTrue } from "../../support/until.js";

let pair: ProxyPair;
let listener: Listener;

afterEach(() => {
  listener.close(() => {});
  pair.stop();
});

test("each connection that a door turns away is counted, and one is logged", async () => {
  pair = await ProxyPair.start({});
  const failures: string[] = [];
  const lines: string[] = [];
  const log = { ...silentLogger, warn: (line: string) => void lines.push(line) } as Logger;
  const door = { turnsAway: () => "address", web: { isOpen: false } } as unknown as Door;
  const deps = {
    onRequest: () => {},
    revision: () => 1,
    onHandshakeFailure: (reason: string) => void failures.push(reason),
    onConnection: () => {},
    engine: pair.caller.engine,
    log,
  };
  listener = new Listener(deps, edgeLimits, undefined, door);
  const { host, port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  for (let count = 0; count < 3; count++) {
    const socket = connect({ host, port });
    socket.on("error", () => {}).resume();
    await once(socket, "close");
  }
  expect(failures).toEqual(["address", "address", "address"]);
  expect(lines.filter((line) => line.includes("no more are taken")).length).toBe(1);
});

test("a plain listener that another process accepts for has no more connections than it may", async () => {
  pair = await ProxyPair.start({});
  const door = {
    turnsAway: () => undefined,
    web: { isOpen: true },
    messageBytesMax: () => 1024,
    headerBytesMax: () => 1024,
  } as unknown as Door;
  const lines: string[] = [];
  const log = { ...silentLogger, warn: (line: string) => void lines.push(line) } as Logger;
  const none = { onRequest: () => {}, revision: () => 1, onHandshakeFailure: () => {}, onConnection: () => {} };
  listener = new Listener(
    { ...none, engine: pair.caller.engine, log },
    { ...edgeLimits, connectionsMax: 2 },
    undefined,
    door,
  );
  const acceptor = createServer((socket) => listener.take(socket));
  const { port } = await listenOn(acceptor, { host: "127.0.0.1", port: 0 });
  const opened: Socket[] = [];
  const open = async (): Promise<Socket> => {
    const socket = connect({ host: "127.0.0.1", port });
    opened.push(socket);
    socket.on("error", () => {}).resume();
    await once(socket, "connect");
    return socket;
  };
  try {
    const [first, , third] = [await open(), await open(), await open()];
    await once(third, "close");
    expect(lines).toEqual([expect.stringContaining("peers have 2 connections")]);
    first.destroy();
    await untilTrue(async () => {
      const again = await open();
      return Promise.race([once(again, "close").then(() => false), setTimeout(50, true)]);
    });
  } finally {
    for (const socket of opened) socket.destroy();
    acceptor.close();
  }
});
