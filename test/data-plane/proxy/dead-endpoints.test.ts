/** A service most of whose endpoints are dead, in whichever way: calls find those that live, and are sent once. */
import { createServer, type Server, type Socket } from "node:net";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { reach } from "../../../data-plane/proxy/target-connections.js";
import type { ByteHandlers } from "../../support/byte-service.js";
import { buildPolicy, everyone, issueIdentity } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, TestSide } from "../../support/proxy-pair.js";

const dead = 11;
let pair: ProxyPair;
let second: TestSide;
let served = 0;
const servers: Server[] = [];
const held: Socket[] = [];
const handlers: ByteHandlers = {
  Unary: (call, respond) => {
    served += 1;
    respond(null, call.request);
  },
};

beforeEach(async () => {
  served = 0;
  pair = await ProxyPair.start(handlers);
  second = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
  second.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
  second.app.set(pair.callee.app.current);
});
afterEach(() => {
  for (const socket of held.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  second.close();
  pair.stop();
});

/** An address where `onSocket` is all that happens. */
async function listen(onSocket: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `127.0.0.1:${address.port}`;
}

/** Nobody listens there. */
async function refusing(): Promise<string> {
  const address = await listen(() => {});
  servers.pop()?.close();
  return address;
}

/** Takes connections and says nothing, as a wrong address does whose packets are dropped. */
const silent = (): Promise<string> => listen((socket) => held.push(socket.resume()));

/** The endpoints of the service: those that `make` gives, and two that live unless `alive` is false. */
async function endpoints(make: () => Promise<string>, alive = true): Promise<readonly string[]> {
  pair.caller.endpoints.all.length = 0;
  const addresses: string[] = [];
  for (let count = 0; count < dead; count++) addresses.push(await make());
  for (const address of addresses) pair.caller.endpoints.add("bytes", address);
  if (alive)
    for (const address of [pair.address, (await second.inbound()).address]) pair.caller.endpoints.add("bytes", address);
  return addresses;
}

async function call(deadlineMs = 20_000): Promise<{ code: number | undefined; details: string }> {
  const { error } = await pair.client().unary(Buffer.alloc(10), undefined, { deadline: Date.now() + deadlineMs });
  return { code: error?.code, details: error?.details ?? "" };
}

const codesOf = async (calls: readonly Promise<{ code: number | undefined }>[]) =>
  new Set((await Promise.all(calls)).map(({ code }) => code));

describe(`of 13 endpoints ${dead}`, () => {
  for (const [what, make] of [
    ["refuse connections", refusing],
    ["take connections and say nothing", silent],
    ["close connections as they come", () => listen((socket) => socket.destroy())],
  ] as const) {
    test(`${what}: the first calls and all later ones are served, each once`, async () => {
      const addresses = await endpoints(make);
      expect(await codesOf([call()])).toEqual(new Set([undefined]));
      for (let turn = 0; turn < 6; turn++)
        expect(await codesOf(Array.from({ length: 5 }, () => call()))).toEqual(new Set([undefined]));
      expect(served).toBe(31);
      // Those that say nothing were not waited for: their time is not over yet.
      if (make === silent) expect(held.filter(({ destroyed }) => destroyed)).toEqual([]);
      const { pool } = pair.caller;
      expect(addresses.filter((address) => pool.reachOf(`bytes ${address}`) === reach.now)).toEqual([]);
    }, 60_000);
  }
});

test("calls are spread over the endpoints that live although one of them was connected first", async () => {
  await endpoints(refusing);
  const { pool } = pair.caller;
  const [first, other] = pair.caller.endpoints.all.slice(dead).map(({ address }) => `bytes ${address}`);
  expect((await call()).code).toBeUndefined();
  for (let calls = 0; calls < 200 && [first, other].some((key) => pool.reachOf(key ?? "") !== reach.now); calls++)
    expect((await call()).code).toBeUndefined();
  expect([first, other].map((key) => pool.reachOf(key ?? ""))).toEqual([reach.now, reach.now]);
}, 60_000);

test("where all are dead each is asked, then a call is answered 14 with the reason", async () => {
  const asked = new Map<string, number>();
  let next = 0;
  const closing = (): Promise<string> => {
    const name = String(next++);
    return listen((socket) => {
      asked.set(name, (asked.get(name) ?? 0) + 1);
      socket.destroy();
    });
  };
  await endpoints(closing, false);
  const { code, details } = await call();
  expect(code).toBe(status.UNAVAILABLE);
  expect(details).toContain("no endpoint of bytes is reached");
  expect([...asked.values()]).toEqual(Array.from({ length: dead }, () => 1));
}, 60_000);

test("where none answers a call ends at its deadline, and nothing of it stays behind", async () => {
  await endpoints(silent, false);
  expect((await call(400)).code).toBe(status.DEADLINE_EXCEEDED);
  await eventually(
    "no call is open or waits",
    () => pair.caller.metrics.open === 0 && pair.caller.engine.waits.waiting === 0,
  );
  expect(pair.caller.engine.deadlines.size).toBe(0);
}, 60_000);
