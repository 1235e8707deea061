/** Connections of an address that has too many: each is counted, and few are logged. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { type Door, Listener } from "../../../data-plane/proxy/forward/listener.js";
import { edgeLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import { type Logger, silentLogger } from "../../../runtime/log.js";
import { ProxyPair } from "../../support/proxy-pair.js";

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
