import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { UpstreamSession, upstreamSessionDefaults } from "../../../data-plane/proxy/forward/upstream-session.js";
import { UpstreamPool } from "../../../data-plane/proxy/upstream-pool.js";
import { systemClock } from "../../../runtime/clock.js";
import { eventually, poolOptions } from "../../support/proxy-pair.js";

describe("connections to upstreams", () => {
  let dir: string;
  let server: Http2Server;
  let sessions: ServerHttp2Session[];

  const dial = async () => connect({ path: join(dir, "up.sock") });
  const newPool = () => new UpstreamPool({ clock: systemClock, random: Math.random }, poolOptions);

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
    const slot = await pool.acquire({ key: "a", dial });
    const stream = slot.open({ ":method": "POST", ":path": "/a.B/C" });
    stream.on("error", () => {});
    pool.evict(() => false);
    let closed = false;
    stream.on("close", () => {
      closed = true;
      slot.release();
    });
    pool.closeWhere(() => true);
    await eventually("the call ended", () => closed);
    pool.close();
  });

  test("a call that goes on at an endpoint that left ends when the pool is closed", async () => {
    const pool = newPool();
    const slot = await pool.acquire({ key: "a", dial });
    const stream = slot.open({ ":method": "POST", ":path": "/a.B/C" });
    stream.on("error", () => {});
    pool.evict(() => false);
    pool.close();
    await eventually("the call ended", () => stream.closed);
  });

  test("after a call was opened an upstream is asked for a sign of life twice, then only at the patient pace", async () => {
    const options = { ...upstreamSessionDefaults, keepaliveMs: 20, keepaliveTimeoutMs: 1000, patientKeepaliveMs: 400 };
    const session = await UpstreamSession.open(await dial(), options);
    let pings = 0;
    sessions[0]?.on("ping", () => {
      pings += 1;
    });
    const open = (): void => {
      session
        .take()
        .open({ ":method": "POST", ":path": "/a.B/C" })
        .on("error", () => {});
    };
    open();
    await systemClock.sleep(250);
    expect(pings).toBe(2);
    await eventually("one at the patient pace", () => pings === 3);
    open();
    await eventually("two more for the new call", () => pings === 5);
    session.destroy();
  });
});
