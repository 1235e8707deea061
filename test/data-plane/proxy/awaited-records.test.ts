/** When records of outbound calls are offered that wait for the beginning of their call's answer. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { AwaitedRecord } from "../../../data-plane/proxy/awaited-record.js";
import { CallRecorder } from "../../../data-plane/proxy/call-recorder.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { KeptDecisions } from "../../support/proxy-pair.js";

const policy = buildPolicy(1, [{ service: "bytes", allow: [everyone] }]);
let [clock, sink] = [new ManualClock(), new KeptDecisions()];
let recorder: CallRecorder;

beforeEach(() => {
  [clock, sink] = [new ManualClock(), new KeptDecisions()];
  recorder = new CallRecorder({ sink, random: randomBytes, clock }, buildSpiffeId("test", "service", "shop"), 1);
});
afterEach(() => recorder.close());

/** Records a call that is sent to an instance. */
function routed(): AwaitedRecord {
  const [service, method] = ["bytes", "test.Bytes/Unary"];
  const available = [{ version: "v1", labels: [] }];
  const call = { service, method, policy, unit: policy.unit(service), header: () => undefined, draw: 0, available };
  const awaited = recorder.routed(call, recorder.draw())?.awaited;
  if (!(awaited instanceof AwaitedRecord)) throw new Error("its record does not wait");
  return awaited;
}

test("one timer serves all calls, also when each has its answer before the next begins", () => {
  for (let call = 0; call < 100; call++) routed().settle();
  expect([sink.decisions.length, clock.sleeping]).toEqual([100, 1]);
});

test("a record waits 5 s at least and 10 s at most, whatever calls came before it", async () => {
  routed().settle();
  await clock.advance(100);
  routed().settle();
  await clock.advance(4800); // 4.9 s after the first call
  routed();
  await clock.advance(4900);
  expect(sink.decisions).toHaveLength(2);
  await clock.advance(5100);
  expect([sink.decisions.length, clock.sleeping]).toEqual([3, 0]);
  routed();
  await clock.advance(10_000);
  expect([sink.decisions.length, clock.sleeping]).toEqual([4, 0]);
});
