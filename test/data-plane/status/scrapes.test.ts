/** Many scrapers of a proxy with more than ten thousand series, while it carries calls. */
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import type { AnswerReason } from "../../../data-plane/proxy/answer.js";
import { kindsMax } from "../../../data-plane/status/call-table.js";
import { createMetrics } from "../../../data-plane/status/metrics.js";
import type { MetricsFormat, MetricsText } from "../../../runtime/metrics-text.js";
import { openStatusServer, type StatusBounds } from "../../../runtime/status-server.js";
import { isOverloaded } from "../../support/echo-client.js";
import { countHeld } from "../../support/held.js";
import { ProxyPair } from "../../support/proxy-pair.js";
import { until } from "../../support/until.js";

let pair: ProxyPair;
beforeAll(async () => {
  pair = await ProxyPair.start({ Unary: (call, respond) => respond(null, call.request) });
});
afterAll(() => pair.stop());

/** Metrics of a proxy that counted as many kinds of calls as it tells apart. */
function fullMetrics() {
  const metrics = createMetrics(pair.caller.engine.counters, pair.caller.engine);
  const counted = { code: 0, tookMs: 3, requestBytes: 64, responseBytes: 64, attempts: 1, isMirrored: false };
  for (let kind = 0; kind < kindsMax; kind++)
    for (const direction of ["inbound", "outbound"] as const) {
      const caller = buildSpiffeId("mesh", "service", `caller-${direction === "inbound" ? kind : 0}`);
      const named = { service: "bytes", method: `shop.More/Do${kind}`, version: "v1" };
      const reason: AnswerReason | undefined = undefined;
      metrics.proxy.callStarted(direction);
      metrics.proxy.callEnded({ direction, caller, ...named, ...counted, reason });
    }
  return metrics;
}

async function open(bounds?: StatusBounds) {
  const metrics = fullMetrics();
  const texts: WeakRef<object>[] = [];
  const warned: string[] = [];
  const render = async (format: MetricsFormat): Promise<MetricsText> => {
    const text = await metrics.render(format);
    texts.push(new WeakRef(text as unknown as object));
    return text;
  };
  const server = await openStatusServer(
    { reasonsNotReady: () => [], problems: () => [], metrics: render },
    { host: "127.0.0.1", port: 0 },
    { warn: (message) => void warned.push(message) },
    bounds,
  );
  const url = `http://127.0.0.1:${server.address.port}`;
  return { server, texts, warned, url, port: server.address.port };
}

test("four scrapers that never pause fail no call, get whole texts, and leave none of them behind", async () => {
  const { server, texts, url } = await open();
  const client = pair.client();
  let isOver = false;
  let [calls, scrapes, during] = [0, 0, 0];
  const call = async (): Promise<void> => {
    while (!isOver) {
      const { error, response } = await client.unary(Buffer.from("bytes"));
      if (error !== undefined && isOverloaded(error)) continue; // another process kept the whole of this one waiting
      expect([error, response?.toString()]).toEqual([undefined, "bytes"]);
      calls += 1;
    }
  };
  const scrape = async (): Promise<void> => {
    while (scrapes < 40) {
      const before = calls;
      const response = await fetch(`${url}/metrics`);
      const lines = (await response.text()).split("\n");
      expect([response.status, lines.length > 10_000, lines.at(-1)]).toEqual([200, true, ""]);
      if (calls > before) during += 1;
      scrapes += 1;
    }
  };
  const calling = Promise.all([call(), call()]);
  await Promise.all([scrape(), scrape(), scrape(), scrape()]);
  isOver = true;
  await calling;
  expect(during).toBeGreaterThan(scrapes / 2); // calls went on while texts were written
  expect(texts.length).toBeLessThanOrEqual(scrapes);
  server.close();
  expect(await countHeld(texts)).toBeLessThanOrEqual(1);
}, 120_000);

/** Connections that ask for the metrics and read nothing. */
const stall = (port: number, count: number): readonly Socket[] =>
  Array.from({ length: count }, () => {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    socket.pause().write("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(10)); // more than buffers of the kernel take
    return socket;
  });

test("scrapers beyond the bound are refused, which is said once; those that take nothing make room", async () => {
  const { server, warned, url, port } = await open({ connectionsMax: 3, stalledMsMax: 1000 });
  const stalled = stall(port, 3);
  await until("a further scraper is refused", async () => {
    const answered = await fetch(`${url}/healthz`).catch(() => undefined);
    return answered === undefined;
  });
  expect(warned).toEqual([expect.stringMatching(/^--status refuses connections: as many are open as there may be/)]);
  await until("those that read nothing are closed", async () => {
    const answered = await fetch(`${url}/healthz`).catch(() => undefined);
    return answered?.status === 200;
  });
  expect(warned).toHaveLength(1);
  for (const socket of stalled) socket.destroy();
  server.close();
}, 60_000);
