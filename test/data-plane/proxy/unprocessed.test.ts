/** What a destination's proxy answers without its application: the caller's proxy tries another instance (gRFC A6). */
import { createServer, constants as h2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { ReadPlan } from "../../../core/journal/read-plan.js";
import { AppliedWrites } from "../../../data-plane/agent/applied-writes.js";
import { ReadWaits } from "../../../data-plane/journal/read-waits.js";
import type { AppliedView } from "../../../data-plane/ports.js";
import { systemClock } from "../../../runtime/clock.js";
import { addInstance } from "../../support/add-instance.js";
import type { ByteHandlers } from "../../support/byte-service.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { ProxyPair, type TestSide } from "../../support/proxy-pair.js";

let pair: ProxyPair;
let second: TestSide;
let served: { first: number; second: number };
let answer: (metadata: Metadata) => { code: status; details: string; metadata: Metadata } | null;

const handlersOf = (which: "first" | "second"): ByteHandlers => ({
  Unary: (call, respond) => {
    served[which]++;
    respond(answer(new Metadata()), call.request);
  },
});

beforeEach(async () => {
  served = { first: 0, second: 0 };
  answer = () => null;
  pair = await ProxyPair.start(handlersOf("first"));
  second = await addInstance(pair, "v1", handlersOf("second"));
});
afterEach(() => {
  second.close();
  pair.stop();
});

async function calls(count: number) {
  const results = [];
  for (let turn = 0; turn < count; turn++) results.push(await pair.client().unary(Buffer.alloc(3)));
  return results.map(({ error, headers, trailers }) => {
    const names = Object.keys({ ...headers?.getMap(), ...trailers.getMap() });
    return { code: error?.code ?? status.OK, details: error?.details ?? "", names };
  });
}

test("an instance without an application costs no call while there is another", async () => {
  pair.callee.app.set(undefined);
  const results = await calls(12);
  expect(new Set(results.map(({ code }) => code))).toEqual(new Set([status.OK]));
  expect(served).toEqual({ first: 0, second: 12 });
  expect(pair.caller.metrics.ejections).toEqual([]);
});

test("so does one whose application's socket refuses", async () => {
  pair.callee.app.set({ instance: "gone", target: { path: "/nowhere/app.sock" } });
  const results = await calls(12);
  expect(new Set(results.map(({ code }) => code))).toEqual(new Set([status.OK]));
  expect(served).toEqual({ first: 0, second: 12 });
});

test("where no instance has one the caller is told why, once each, and nothing of how proxies say it", async () => {
  pair.callee.app.set(undefined);
  second.app.set(undefined);
  const [result] = await calls(1);
  expect(result?.code).toBe(status.UNAVAILABLE);
  expect(result?.details).toContain("no application of bytes is registered here");
  expect(result?.names).toContain("ashlar-revision");
  expect(result?.names).not.toContain("ashlar-unprocessed");
  expect(pair.callee.metrics.ended.length + second.metrics.ended.length).toBe(2);
});

test("an application cannot say that it saw nothing: its calls are not sent again", async () => {
  answer = (metadata) => {
    metadata.set("ashlar-unprocessed", "1");
    return { code: status.UNAVAILABLE, details: "I saw it", metadata };
  };
  const results = await calls(8);
  expect(results.map(({ details }) => details)).toEqual(Array(8).fill("I saw it"));
  expect(served.first + served.second).toBe(8);
});

test("an application that refuses a stream after it has seen the call gets it again itself, never another instance", async () => {
  let seen = 0;
  const path = join(tmpdir(), `ashlar-refuses-${process.pid}.sock`);
  const application = createServer();
  application.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.resume().on("end", () => {
      seen++;
      stream.close(h2.NGHTTP2_REFUSED_STREAM);
    });
  });
  await new Promise<void>((resolve) => application.listen(path, resolve));
  try {
    pair.callee.app.set({ instance: "refuses", target: { path } });
    const results = await calls(40); // so that each instance is drawn
    const refused = results.filter(({ code }) => code !== status.OK);
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(refused.map(({ details }) => details))).toEqual(new Set(["the upstream refused the call"]));
    expect(served.second).toBe(results.length - refused.length);
    expect(seen).toBeGreaterThanOrEqual(refused.length);
    expect(seen).toBeLessThanOrEqual(3 * refused.length); // gRFC A6: its own server said that it was not processed
  } finally {
    pair.stop();
    application.close();
  }
});

test("a read that names a write is not answered by an application that took the place of the one that applied it", async () => {
  const reads: ReadPlan = { name: "reads", replica: { version: "v1", labels: [] }, waitMs: 1000, isRead: () => true };
  const policy = buildPolicy(2, [{ service: "bytes", allow: [everyone] }]);
  const unit = policy.unit("bytes");
  if (unit === undefined) throw new Error("it has one");
  const journal = { isWrite: () => false, isRead: () => true, reads } as unknown as NonNullable<typeof unit.journal>;
  pair.callee.policy.switchTo({ ...policy, unit: () => ({ ...unit, journal }) });
  pair.caller.endpoints.all.length = 1; // the instance alone
  const { app } = pair.callee;
  const older = app.current;
  const newer = { instance: "newer", target: { path: "/nowhere/app.sock" } };
  const applied = new AppliedWrites();
  applied.hear({ position: 7, sequences: [5] });
  const view: AppliedView = {
    get applied() {
      return app.current === newer ? applied : undefined;
    },
    onApplied: () => () => {},
  };
  pair.callee.reads = new ReadWaits({ app: view, store: {} as never, clock: systemClock });
  app.reportRefused = () => app.set(older);
  const readAfter = (sequence: string) => {
    const metadata = new Metadata();
    metadata.set("ashlar-after-sequence", sequence);
    return pair.client().unary(Buffer.alloc(3), metadata);
  };
  app.set(newer);
  const { error } = await readAfter("5");
  expect([error?.details, served.first]).toEqual([
    "the application of this replica does not report what it has applied",
    0,
  ]);
  const [plain] = await calls(1);
  expect([plain?.code, served.first]).toEqual([status.OK, 1]); // it asks for nothing that is not known
});
