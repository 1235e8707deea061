/** Calls that a proxy carries in memory before its start: they end as policy says, within bounds, and leave nothing behind. */
import { Server, Socket } from "node:net";
import { afterEach, expect, jest, test } from "@jest/globals";
import { TlsState } from "../../../data-plane/proxy/tls-state.js";
import { MemorySocket } from "../../../data-plane/warm/memory-socket.js";
import { WarmCaller } from "../../../data-plane/warm/warm-caller.js";
import { deniedMethod, warmMethods, warmService } from "../../../data-plane/warm/warm-policy.js";
import { type WarmBounds, warmUp } from "../../../data-plane/warm/warm-up.js";
import { openWarmWorld } from "../../../data-plane/warm/warm-world.js";
import { systemClock } from "../../../runtime/clock.js";

const never = new AbortController().signal;
const bounds: WarmBounds = { calls: 400, wallMs: 20_000, cpuMs: 20_000 };

afterEach(() => {
  jest.restoreAllMocks();
});

/** Timers, sockets and servers of this process. */
const resources = (): readonly string[] => [...process.getActiveResourcesInfo()].sort();
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((next) => setImmediate(next));
};

test("carries as many calls as it may, each answered as policy says", async () => {
  expect(await warmUp(never, bounds)).toMatchObject({ calls: 400, problem: undefined });
});

test("neither listens nor connects, and no timer or socket is left", async () => {
  const listen = jest.spyOn(Server.prototype, "listen");
  const connect = jest.spyOn(Socket.prototype, "connect");
  await turns(20);
  const before = resources();
  await warmUp(never, bounds);
  await turns(20);
  expect(resources()).toEqual(before);
  expect(listen).not.toHaveBeenCalled();
  expect(connect).not.toHaveBeenCalled();
});

test.each([
  ["its time", { wallMs: 0 }],
  ["its CPU", { cpuMs: 0 }],
] as const)("ends with the first look once %s is used up", async (_what, bound) => {
  const { calls, problem } = await warmUp(never, { ...bounds, calls: 100_000, ...bound });
  expect(calls).toBeLessThanOrEqual(128);
  expect(problem).toBeUndefined();
});

test("ends when it is told to", async () => {
  expect((await warmUp(AbortSignal.timeout(1), { ...bounds, calls: 1_000_000 })).problem).toBeUndefined();
});

test("a fault is the result, and not thrown", async () => {
  jest.spyOn(MemorySocket.prototype, "setNoDelay").mockImplementationOnce(() => {
    throw new Error("a fault of this test");
  });
  const { problem } = await warmUp(never, bounds).catch((error: unknown) => ({ problem: `thrown: ${error}` }));
  expect(problem).toBe("a fault of this test");
});

test.each([
  ["allowed", { method: warmMethods[0], isDenied: false }, true],
  ["denied", { method: deniedMethod, isDenied: true }, true],
  ["allowed, where it should be denied", { method: warmMethods[1], isDenied: true }, false],
  ["denied, where it should be allowed", { method: deniedMethod, isDenied: false }, false],
] as const)("a caller knows a call that is %s", async (_what, shape, expected) => {
  const world = openWarmWorld(() => {});
  const ended = new Promise((resolve) => {
    const options = { shapes: [{ ...shape, fields: [], bytes: 8 }], authority: warmService, streams: 1 };
    new WarmCaller(world.connect(), world.engine, { left: 1, ended: resolve }, options).fill();
  });
  expect(await ended).toBe(expected);
  world.close();
});

test("a proxy that proves identities takes no connection in memory for one", () => {
  const world = openWarmWorld(() => {});
  const socket = world.connect();
  const identity = {
    current: {
      ...{ mesh: "m", proxyId: "p", service: "s", version: "v", spiffeId: "spiffe://m/service/s" as never },
      ...{ certificateChainPem: "", privateKeyPem: "", serial: "1", notAfterMs: 0 },
    },
    onRotate: () => () => {},
  };
  const trust = {
    sequence: 1,
    rootsPem: [],
    isRevoked: () => false,
    issuers: [],
    egresses: [],
    onChange: () => () => {},
  };
  const tls = new TlsState({ identity, trust, clock: systemClock });
  expect(() => tls.verify(socket as never)).toThrow();
  world.close();
});
