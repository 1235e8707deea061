/** What is recorded of calls through two real proxies. */
import { Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { inboundLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const hello = Buffer.from("hello");

describe("recording", () => {
  let pair: ProxyPair;

  beforeEach(async () => {
    pair = await ProxyPair.start({
      Unary: (call, callback) => callback(null, call.request),
      Bidi: (call) => {
        call.on("data", (chunk: Buffer) => call.write(chunk));
        call.on("end", () => call.end());
      },
    });
  });
  afterEach(() => pair.stop());

  test("what is allowed is recorded with what its rules read and nothing else; where it went, too", async () => {
    const when = `request.headers["x-region"] == "eu" && request.headers["authorization"] != "" && now.getFullYear() > 1`;
    const policy = buildPolicy(2, [{ service: "bytes", allow: [{ from: ["shop"], methods: ["*"], when }] }]);
    for (const side of [pair.caller, pair.callee]) side.policy.switchTo(policy);
    const metadata = new Metadata();
    for (const [name, value] of Object.entries({ "x-region": "eu", authorization: "secret", "x-other": "other" }))
      metadata.set(name, value);
    expect((await pair.client().unary(hello, metadata)).error).toBeUndefined();
    const [record] = pair.callee.decisions.decisions;
    expect(record).toMatchObject({ verdict: "allowed", revision: 2, caller: "spiffe://test/service/shop" });
    expect(record?.inputs).toEqual({
      headers: [
        { name: "authorization", content: { state: "withheld" }, digest: "" },
        { name: "x-region", content: { state: "whole", value: "eu" }, digest: "" },
      ],
      source: undefined,
      labels: undefined,
      claims: [],
      issuer: undefined,
      claimsComplete: false,
    });
    expect(pair.caller.decisions.decisions).toMatchObject([
      { direction: "outbound", verdict: "routed", version: "", routing: { available: ["v1"] } },
    ]);
  });

  test("outbound calls that are alike are recorded alike, each with its own id, and anew under another revision", async () => {
    for (let call = 0; call < 3; call++) expect((await pair.client().unary(hello)).error).toBeUndefined();
    const [first, ...others] = pair.caller.decisions.decisions;
    expect(first).toMatchObject({ direction: "outbound", verdict: "routed", service: "bytes", revision: 1 });
    expect(others).toHaveLength(2);
    for (const other of others) expect({ ...other, id: "", timeMs: 0 }).toEqual({ ...first, id: "", timeMs: 0 });
    expect(new Set(pair.caller.decisions.decisions.map(({ id }) => id)).size).toBe(3);
    pair.caller.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone] }]));
    await pair.client().unary(hello);
    expect(pair.caller.decisions.decisions.at(-1)).toMatchObject({ revision: 2, epoch: 2 });
  });

  test("calls that are sampled are recorded with their trace by both sides, and so are refused ones", async () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const call = (flags: string) => {
      const metadata = new Metadata();
      metadata.set("traceparent", `00-${traceId}-b7ad6b7169203331-${flags}`);
      return pair.client().unary(hello, metadata);
    };
    await call("00");
    await call("01");
    await call("00");
    const tracesOf = (side: typeof pair.callee) => side.decisions.decisions.map((one) => one.traceId);
    expect(tracesOf(pair.callee)).toEqual([undefined, traceId, undefined]);
    expect(tracesOf(pair.caller)).toEqual([undefined, traceId, undefined]);
    pair.callee.policy.switchTo(buildPolicy(2, []));
    await call("00");
    expect(pair.callee.decisions.decisions.at(-1)).toMatchObject({ verdict: "denied", traceId });
  });

  test("I10: a switch that ends open streams records each closing, and how long it took", async () => {
    const streams = Array.from({ length: 3 }, () => pair.client().bidi());
    for (const stream of streams) stream.on("error", () => {}).write(hello);
    await eventually("the streams are open", () => pair.inbound.open.size === 3);
    pair.callee.policy.switchTo(buildPolicy(2, []));
    await eventually("they are closed", () => pair.inbound.open.size === 0);
    const closed = pair.callee.decisions.decisions.filter((decision) => decision.closed);
    expect(closed).toHaveLength(3);
    expect(closed[0]).toMatchObject({ verdict: "denied", rule: "default-deny", revision: 2, epoch: 2 });
    expect(pair.callee.metrics.judged).toEqual([{ open: 3, closed: 3, tookMs: expect.any(Number) }]);
  });

  test("I10: of 1000 open streams a switch ends those that it refuses, within a bound, and leaves the others alone", async () => {
    const engine = { ...inboundLimits.engine, concurrentStreamsMax: 1000 };
    const { inbound, address } = await pair.callee.inbound({ ...inboundLimits, engine });
    pair.caller.endpoints.all.length = 0;
    pair.caller.endpoints.add("bytes", address);
    const codes: number[] = [];
    const clients = Array.from({ length: 10 }, () => pair.client());
    const streams = Array.from({ length: 1000 }, (_, index) => {
      const metadata = new Metadata();
      metadata.set("x-tenant", index % 4 === 0 ? "kept" : "gone");
      const stream = clients[index % clients.length]?.bidi(metadata);
      stream?.on("error", ({ code }: { code: number }) => codes.push(code)).on("data", () => {});
      stream?.write(hello);
      return stream;
    });
    await eventually("the streams are open", () => inbound.open.size === 1000, 30_000);
    const when = 'request.headers["x-tenant"] == "kept"';
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [{ from: ["*"], methods: ["*"], when }] }]));
    expect(inbound.open.size).toBe(250); // when the switch is done, so are the refused
    const judged = pair.callee.metrics.judged.find(({ open }) => open === 1000);
    expect(judged).toMatchObject({ open: 1000, closed: 750 });
    expect(judged?.tookMs).toBeLessThan(2000);
    await eventually("their callers know", () => codes.length === 750, 30_000);
    expect(new Set(codes)).toEqual(new Set([7]));
    const recorded = pair.callee.decisions.decisions.filter(({ closed }) => closed).length;
    expect(recorded).toBeGreaterThan(0);
    expect(recorded).toBeLessThan(750); // closings are refusals: a flood of them is counted
    for (const stream of streams) stream?.cancel();
    await eventually("all are over", () => inbound.open.size === 0, 30_000);
  }, 90_000);
});
