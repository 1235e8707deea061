import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { nobody } from "../../../data-plane/http2/stream.js";
import { createProxyEngine } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { UpstreamSession, upstreamSessionDefaults } from "../../../data-plane/proxy/forward/upstream-session.js";
import { StreamWaiter } from "../../../data-plane/proxy/stream-queue.js";
import { UpstreamPool } from "../../../data-plane/proxy/upstream-pool.js";
import { systemClock } from "../../../runtime/clock.js";
import { eventually, poolOptions } from "../../support/proxy-pair.js";

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
    new Promise((resolve, reject) => {
      const open = (session: UpstreamSession): boolean => {
        take(session);
        return true;
      };
      const done = (error: unknown): void => (error === undefined ? resolve() : reject(error));
      pool.acquire({ key: "a", dial }, new StreamWaiter("caller", open, done));
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
});
