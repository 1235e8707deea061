/** Handshakes of strangers begin a few at a time, and only with those who say something. */
import { EventEmitter, once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { HandshakeTurns } from "../../../data-plane/proxy/forward/handshake-turns.js";
import { listenOn } from "../../../runtime/listen.js";
import { untilTrue } from "../../support/until.js";

let begun: Socket[];
/** How many began in each turn of the event loop. */
let turns: number[];
let accepted: Socket[];
let clients: Socket[];
let server: Server;
let handshakes: HandshakeTurns;
let port: number;

beforeEach(async () => {
  [begun, turns, accepted, clients] = [[], [], [], []];
  let isNew = true;
  handshakes = new HandshakeTurns((socket) => {
    begun.push(socket);
    if (isNew) turns.push(0);
    isNew = false;
    turns.push((turns.pop() ?? 0) + 1);
    queueMicrotask(() => {
      isNew = true;
    });
  });
  server = createServer((socket) => void accepted.push(socket));
  port = (await listenOn(server, { host: "127.0.0.1", port: 0 })).port;
});

afterEach(() => {
  for (const socket of [...clients, ...accepted]) socket.destroy();
  server.close();
});

/** Connects clients that say hello, or nothing. */
async function come(count: number, hello: string): Promise<readonly Socket[]> {
  const first = accepted.length;
  const some = Array.from({ length: count }, () => connect({ host: "127.0.0.1", port }));
  clients.push(...some);
  for (const socket of some) socket.on("error", () => {}).resume();
  await Promise.all(some.map((socket) => once(socket, "connect")));
  await untilTrue(() => accepted.length === first + count);
  for (const socket of some) if (hello !== "") socket.write(hello);
  return some;
}

test("at most four begin in a turn, however many come at once, with what their clients said", async () => {
  await come(50, "hello");
  for (const socket of accepted) handshakes.add(socket);
  await untilTrue(() => begun.length === 50);
  expect(Math.max(...turns)).toBe(4);
  expect(new Set(begun).size).toBe(50);
  expect(begun.map((socket) => String(socket.read()))).toEqual(Array(50).fill("hello"));
});

test("who says more than a client's first record of TLS gets no turn", async () => {
  const [honest] = await come(1, "h".repeat(16_000));
  await come(1, "g".repeat(60_000));
  await untilTrue(() => accepted.length === 2);
  const [first, second] = accepted as [Socket, Socket];
  // all of it is read before the turn is asked for
  for (const socket of accepted) socket.on("readable", () => {});
  await untilTrue(() => first.readableLength === 16_000 && second.readableLength > 2 ** 14 + 5);
  for (const socket of accepted) socket.removeAllListeners("readable");
  for (const socket of accepted) handshakes.add(socket);
  await untilTrue(() => begun.length === 1 && second.destroyed);
  expect(begun).toEqual([first]);
  honest?.destroy();
});

test("who says more than that while it waits gets no turn either, and the others do", async () => {
  class Waiting extends EventEmitter {
    readableLength = 5;
    destroyed = false;
    destroy(): void {
      this.destroyed = true;
    }
  }
  const waiting = Array.from({ length: 9 }, () => new Waiting());
  for (const socket of waiting) handshakes.add(socket as unknown as Socket);
  (waiting[6] as Waiting).readableLength = 2 ** 14 + 6;
  await untilTrue(() => begun.length === 8);
  expect(waiting.map(({ destroyed }) => destroyed).indexOf(true)).toBe(6);
  expect(begun).toEqual(waiting.filter(({ destroyed }) => !destroyed));
});

test("a balancer's header may come before, alone or with what its client says", async () => {
  const cases = [
    ["header", "hello"],
    ["headerhello", ""],
  ] as const;
  for (const [count, [first, then]] of cases.entries()) {
    const [client] = await come(1, first);
    const socket = accepted[count] as Socket;
    const read = (): void => {
      if (socket.read("header".length) === null) return;
      socket.off("readable", read);
      handshakes.add(socket);
      if (then !== "") client?.write(then);
    };
    socket.on("readable", read);
    await untilTrue(() => begun.length === count + 1);
    expect(String(begun[count]?.read())).toBe("hello");
  }
});

test("who says nothing, or goes before its turn, begins none and holds up nobody", async () => {
  const silent = await come(20, "");
  for (const socket of accepted) handshakes.add(socket);
  const [talking] = await come(1, "hello");
  const last = accepted.at(-1);
  if (last !== undefined) handshakes.add(last);
  await untilTrue(() => begun.length === 1);
  expect(begun[0]?.remotePort).toBe(talking?.localPort);
  for (const socket of silent) socket.end();
  await untilTrue(() => accepted.slice(0, 20).every(({ destroyed }) => destroyed));
  expect(begun).toHaveLength(1);
});
