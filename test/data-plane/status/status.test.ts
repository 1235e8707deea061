import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { parseSpiffeId } from "../../../core/identity.js";
import { createMetrics } from "../../../data-plane/status/metrics.js";
import { reasonsNotReady } from "../../../data-plane/status/readiness.js";
import { silentLogger } from "../../../runtime/log.js";
import { openStatusServer, type StatusServer } from "../../../runtime/status-server.js";
import { untilTrue } from "../../support/until.js";

const ready = {
  draining: false,
  hasRevision: true,
  revoked: undefined,
  certificateExpiresMs: 10,
  hasApplication: true,
  unhealthy: "",
  nowMs: 0,
  carrying: [],
};

describe("status", () => {
  let server: StatusServer;
  let reasons: readonly string[] = [];
  const metrics = createMetrics();
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${server.address.port}${path}`);

  beforeAll(async () => {
    metrics.watch({
      seenEpoch: () => 3,
      evaluatingEpoch: () => 2,
      evaluatingRevision: () => 7,
      freshnessAgeMs: () => 1500,
      clockAheadMs: () => -20_500,
      certificateExpiresMs: () => 1_000_000,
      nowMs: () => 400_000,
      isNatsConnected: () => true,
      refusedRecords: () => 0,
      decisions: () => ({ recorded: 7, counted: 8, dropped: 9 }),
      isApplicationHealthy: () => true,
      isReady: () => reasons.length === 0,
    });
    metrics.reportShadow(() => ({ same: 3, would_deny: 2, would_allow: 1, error: 0 }));
    const sources = {
      reasonsNotReady: () => reasons,
      problems: () => ["a rejected revision"],
      metrics: metrics.render,
    };
    server = await openStatusServer(sources, { host: "127.0.0.1", port: 0 }, silentLogger);
  });
  afterAll(() => server.close());

  test("healthz names problems, readyz says 503 and why", async () => {
    expect(await (await get("/healthz")).text()).toBe("ok\na rejected revision\n");
    expect((await get("/readyz")).status).toBe(200);
    reasons = ["the proxy is stopping"];
    const response = await get("/readyz");
    expect([response.status, await response.text()]).toEqual([503, "the proxy is stopping\n"]);
    reasons = [];
    expect((await get("/other")).status).toBe(404);
  });

  test("scrapes that come while one is being written get its text, so that many cost no more than one", async () => {
    let [begun, write] = [0, (_text: readonly string[]): void => {}];
    const scraped = async (): Promise<readonly string[]> => {
      begun++;
      return new Promise((resolve) => {
        write = resolve;
      });
    };
    const sources = { reasonsNotReady: () => [], problems: () => [], metrics: scraped };
    const busy = await openStatusServer(sources, { host: "127.0.0.1", port: 0 }, silentLogger);
    const socket = connect(busy.address.port, "127.0.0.1");
    socket.write("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(10));
    await untilTrue(() => begun > 0);
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    write(["a 1\n", "b 2\n"]);
    await untilTrue(() => text.split("b 2").length === 11);
    expect(begun).toBe(1);
    socket.destroy();
    busy.close();
  });

  test("a port that is taken is one clear line", async () => {
    const again = openStatusServer(
      { reasonsNotReady: () => [], problems: () => [], metrics: async () => [] },
      server.address,
      silentLogger,
    );
    await expect(again).rejects.toThrow(/--status: cannot listen on 127\.0\.0\.1:\d+: it is taken by another process/);
  });

  test("calls are counted by service, method and status; I8: what callers make up does not grow the metrics", async () => {
    const { proxy } = metrics;
    const caller = parseSpiffeId("spiffe://mesh/service/front");
    const sizes = { requestBytes: 10, responseBytes: 20, attempts: 1, isMirrored: false };
    const call = { direction: "inbound", service: "bytes", caller, tookMs: 2, version: "v1", ...sizes } as const;
    for (let index = 0; index < 1000; index++) {
      proxy.callStarted("inbound");
      proxy.callEnded({ ...call, method: `made.Up/M${index}`, code: 7, reason: "denied" });
    }
    for (let index = 0; index < 1000; index++) {
      proxy.callStarted("inbound");
      proxy.callEnded({ ...call, method: `real.Service/M${index}`, code: 0, reason: undefined });
    }
    proxy.callStarted("inbound");
    proxy.callEnded({ ...call, method: "real.Service/M0", code: 0, reason: undefined, isMirrored: true });
    const text = await (await get("/metrics")).text();
    expect(text).toContain('ashlar_copied_calls_total{service="bytes",code="OK"} 1');
    expect(text).toContain(
      'ashlar_calls_total{direction="inbound",caller="front",service="bytes",method="other",version="v1",code="PERMISSION_DENIED"} 1000',
    );
    expect(text).toContain('method="real.Service/M0",version="v1",code="OK"} 1');
    expect(text.match(/^ashlar_calls_total\{/gm)?.length).toBeLessThanOrEqual(402);
    expect(text).toContain('method="other",version="v1",reason="denied"} 1000');
    expect(text).toContain('ashlar_calls_folded_total{direction="inbound"} 601');
    expect(text).toContain("ashlar_certificate_left_seconds 600\n");
    expect(text).toContain('ashlar_open_streams{direction="inbound"} 0');
    for (const line of ["ashlar_epoch_seen 3", "ashlar_epoch_evaluating 2", "ashlar_freshness_age_seconds 1.5"]) {
      expect(text).toContain(line);
    }
  });

  for (const [name, facts, count] of [
    ["ready", {}, 0],
    ["without a revision", { hasRevision: false }, 1],
    ["with an expired certificate", { nowMs: 10 }, 1],
    ["whose certificate is revoked", { revoked: "it was revoked" }, 1],
    ["without its application", { hasApplication: false }, 1],
    ["whose application cannot be called", { unhealthy: "it hangs" }, 1],
    ["outbound only", { hasApplication: undefined }, 0],
    ["with a worker that does not carry calls", { carrying: ["worker 1 does not carry calls"] }, 1],
    ["stopping, without anything", { draining: true, hasRevision: false, hasApplication: false }, 3],
  ] as const) {
    test(`a proxy ${name} gives ${count} reasons`, () =>
      expect(reasonsNotReady({ ...ready, ...facts })).toHaveLength(count));
  }
});
