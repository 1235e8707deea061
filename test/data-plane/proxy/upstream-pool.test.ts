import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { connect, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { nobody } from "../../../data-plane/http2/stream.js";
import { createProxyEngine } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { UpstreamSession, upstreamSessionDefaults } from "../../../data-plane/proxy/forward/upstream-session.js";
import { StreamWaiter } from "../../../data-plane/proxy/stream-queue.js";
import { reach } from "../../../data-plane/proxy/target-connections.js";
import { UpstreamPool } from "../../../data-plane/proxy/upstream-pool.js";
import type { UpstreamTarget } from "../../../data-plane/proxy/upstream-target.js";
import { systemClock } from "../../../runtime/clock.js";
import { eventually, poolOptions } from "../../support/proxy-pair.js";
import { frame, settings } from "../../support/wire.js";

const rethrow = (error: unknown): void => {
  throw error;
};

describe("connections to upstreams", () => {
  let dir: string;
  let server: Http2Server;
  let sessions: ServerHttp2Session[];

  const dial = async () => connect({ path: join(dir, "up.sock") });
  const engine = createProxyEngine(() => systemClock.monotonicMs(), rethrow);
  const newPool = () => new UpstreamPool({ random: Math.random, engine }, poolOptions);
  const request = [":method POST", ":scheme http", ":path /a.B/C", ":authority a"].map((text) => {
    const [name = "", value = ""] = text.split(" ");
    return new PreparedField(name, value);
  });

  /** Begins a call; `closed` says that it has ended. */
  const open = (session: UpstreamSession): { closed: boolean } => {
    const seen = { closed: false };
    const onReset = (): void => {
      seen.closed = true;
    };
    const sink = { ...nobody, onReset };
    session.connection.open(sink)?.sendFields(request, null, null, false);
    return seen;
  };

  const acquire = (pool: UpstreamPool, take: (session: UpstreamSession) => void): Promise<void> =>
    acquireOf(pool, { key: "a", dial }, take);

  const acquireOf = (
    pool: UpstreamPool,
    target: UpstreamTarget,
    take: (session: UpstreamSession) => void,
  ): Promise<void> =>
    new Promise((resolve, reject) => {
      const open = (session: UpstreamSession): boolean => {
        take(session);
        return true;
      };
      const done = (error: unknown): void => (error === undefined ? resolve() : reject(error));
      pool.acquire(target, new StreamWaiter("caller", open, done));
    });

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "pool-"));
    sessions = [];
    server = createServer();
    server.on("session", (session) => {
      sessions.push(session);
      session.on("error", () => {});
    });
    server.on("stream", (stream) => stream.on("error", () => {}).resume());
    await new Promise<void>((resolve) => server.listen(join(dir, "up.sock"), resolve));
  });
  afterEach(() => {
    for (const session of sessions) session.destroy();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("a call that goes on at an endpoint that left ends when that endpoint's certificate is revoked", async () => {
    const pool = newPool();
    let call = { closed: false };
    await acquire(pool, (session) => {
      call = open(session);
    });
    pool.evict(() => false);
    expect(call.closed).toBe(false);
    pool.closeWhere(() => true);
    await eventually("the call ended", () => call.closed);
    pool.close();
  });

  test("a call that goes on at an endpoint that left ends when the pool is closed", async () => {
    const pool = newPool();
    let call = { closed: false };
    await acquire(pool, (session) => {
      call = open(session);
    });
    pool.evict(() => false);
    expect(call.closed).toBe(false);
    pool.close();
    await eventually("the call ended", () => call.closed);
  });

  test("after a call was opened an upstream is asked for a sign of life twice, then only at the patient pace", async () => {
    const options = { ...upstreamSessionDefaults, keepaliveMs: 20_000, patientKeepaliveMs: 330_000 };
    const session = await UpstreamSession.open(await dial(), options, engine, "app");
    let pings = 0;
    sessions[0]?.on("ping", () => {
      pings += 1;
    });
    await eventually("it is set up", () => session.connection.control.settingsAcknowledged);
    let nowMs = systemClock.monotonicMs();
    const pass = async (ms: number, expected: number): Promise<void> => {
      nowMs += ms;
      const { connection } = session;
      connection.tick(nowMs);
      await eventually(`${expected} pings`, () => pings === expected && connection.clock.pingSentMs === 0);
      connection.clock.lastReceivedMs = nowMs; // the answer came by the real clock
    };
    open(session);
    await pass(21_000, 1);
    await pass(21_000, 2);
    await pass(21_000, 2);
    await pass(331_000, 3);
    open(session);
    await pass(21_000, 4);
    await pass(21_000, 5);
    await pass(21_000, 5);
    session.destroy();
  });

  /** A waiter that wants a session for good, and what it was told. */
  const waiter = (told: string[], name = "caller"): StreamWaiter =>
    new StreamWaiter(
      name,
      (session) => {
        open(session);
        return true;
      },
      (error) => void told.push(error === undefined ? "open" : String(error)),
    );

  test("a target that was not reached is dialled again after a while only, and calls are told so at once", async () => {
    let nowMs = 1000;
    const own = createProxyEngine(() => nowMs, rethrow);
    const pool = new UpstreamPool({ random: () => 0, engine: own }, poolOptions);
    let dials = 0;
    const told: string[] = [];
    const target = {
      key: "a",
      dial: async () => {
        dials += 1;
        throw new Error("nobody is there");
      },
    };
    pool.acquire(target, waiter(told));
    await eventually("it was dialled", () => told.length === 1);
    for (let calls = 0; calls < 5; calls++) pool.acquire(target, waiter(told));
    expect([dials, told.length]).toEqual([1, 6]);
    expect(told[5]).toContain("was not reached a moment ago: nobody is there");
    expect(pool.reachOf("a")).toBe(reach.backedOff);
    nowMs += poolOptions.redialMsMin;
    pool.acquire(target, waiter(told));
    await eventually("it was dialled again", () => told.length === 7);
    expect(dials).toBe(2);
    pool.close();
    own.stop();
  });

  test("I8: no more than so many connections are being made at once; the others have their turn", async () => {
    const hanging: (() => void)[] = [];
    const pool = new UpstreamPool({ random: Math.random, engine }, { ...poolOptions, dialsMax: 3 });
    const told: string[] = [];
    for (let place = 0; place < 8; place++) {
      const dial = () =>
        new Promise<never>((_resolve, reject) => hanging.push(() => reject(new Error(`${place} is away`))));
      pool.acquire({ key: `target ${place}`, dial }, waiter(told));
    }
    for (let ended = 0; ended < 8; ended++) {
      await eventually("a turn", () => hanging.length > ended);
      expect(hanging.length).toBeLessThanOrEqual(ended + 3);
      hanging[ended]?.();
      await eventually("it was told", () => told.length === ended + 1);
    }
    expect(new Set(told).size).toBe(8);
    pool.close();
  });

  test("connections that end as soon as they are made are a failure, and no loop", async () => {
    const goaway = Buffer.concat([settings(), frame(0x7, 0, 0, Buffer.alloc(8))]);
    const ending = createNetServer((socket) =>
      socket
        .on("error", () => {})
        .resume()
        .write(goaway),
    );
    await new Promise<void>((resolve) => ending.listen(join(dir, "ending.sock"), resolve));
    const pool = newPool();
    const told: string[] = [];
    const target = { key: "a", dial: async () => connect({ path: join(dir, "ending.sock") }) };
    for (let calls = 0; calls < 3; calls++) pool.acquire(target, waiter(told));
    await eventually("all were told", () => told.length === 3);
    for (const text of told) expect(text).toContain("its connections end as soon as they are made");
    pool.close();
    ending.close();
  });

  /** A pool with two connections: one whose call is open and that takes one more, and one that no call has used. */
  async function makeSpare(pool: UpstreamPool): Promise<() => Promise<void>> {
    let callMade = (): void => {};
    const gate = new Promise<void>((resolve) => {
      callMade = resolve;
    });
    let dials = 0;
    const target = { key: "a", dial: async () => (dials++ === 0 ? dial() : gate.then(dial)) };
    const used: UpstreamSession[] = [];
    const serve = () =>
      acquireOf(pool, target, (session) => {
        used.push(session);
        open(session);
      });
    const take = (maxConcurrentStreams: number) => sessions[0]?.settings({ maxConcurrentStreams });
    server.once("session", () => take(1));
    await serve();
    const [first] = used as [UpstreamSession];
    await eventually("one stream is all", () => pool.find("a") === undefined);
    const waiting = serve();
    await eventually("another connection is made", () => dials === 2);
    take(2);
    await waiting;
    callMade();
    await eventually("there is a spare one", () => pool.find("a") !== undefined);
    take(3);
    await eventually("the first has room again", () => pool.find("a") === first);
    expect([new Set(used).size, dials]).toEqual([1, 2]);
    return serve;
  }

  async function endAll(pool: UpstreamPool): Promise<void> {
    for (const session of sessions) session.destroy();
    await eventually("the pool knows", () => pool.find("a") === undefined);
    await eventually("all ended", () => pool.reachOf("a") !== reach.now);
  }

  test("a connection that no call used is no failure where calls were served on others since", async () => {
    const pool = newPool();
    const serve = await makeSpare(pool);
    await serve();
    await endAll(pool);
    expect(pool.reachOf("a")).toBe(reach.afterDial);
    await serve();
    pool.close();
  });

  test("nor where it came after the last call, but only the first: the next that ends unused is a failure", async () => {
    const pool = newPool();
    await makeSpare(pool);
    await endAll(pool);
    expect(pool.reachOf("a")).toBe(reach.afterDial);
    let dials = 0;
    const warm = () =>
      pool.warm({
        key: "a",
        dial: () => {
          dials++;
          return dial();
        },
      });
    warm();
    await eventually("it is there", () => pool.find("a") !== undefined);
    await endAll(pool);
    warm();
    expect([dials, pool.reachOf("a")]).toEqual([1, reach.backedOff]);
    pool.close();
  });

  test("I8: connections that only finish what they have are bounded: the oldest ends", async () => {
    const pool = new UpstreamPool({ random: Math.random, engine }, { ...poolOptions, finishingMaxPerTarget: 3 });
    const calls: { closed: boolean }[] = [];
    for (let age = 0; age < 5; age++) {
      await acquire(pool, (session) => calls.push(open(session)));
      await eventually("it is there", () => sessions.length === age + 1);
      sessions[age]?.goaway(0, 2 ** 31 - 1);
      await eventually("it is heard", () => pool.find("a") === undefined);
    }
    await eventually("the oldest two ended", () => calls.filter(({ closed }) => closed).length === 2);
    expect(calls.map(({ closed }) => closed)).toEqual([true, true, false, false, false]);
    pool.close();
  });

  test("a stopping pool and a target that left tell those who wait", async () => {
    const pool = newPool();
    const told: string[] = [];
    const never = { key: "a", dial: () => new Promise<never>(() => {}) };
    pool.acquire(never, waiter(told));
    pool.close();
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("the proxy is stopping");
  });
});
