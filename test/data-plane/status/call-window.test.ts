import { status } from "@grpc/grpc-js";
import { expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { tookBoundsMs } from "../../../core/model.js";
import type { EndedCall } from "../../../data-plane/proxy/proxy-metrics.js";
import { CallWindow } from "../../../data-plane/status/call-window.js";

const [one, two] = ["one", "two"].map((text) => digestOf(Buffer.from(text))) as [
  ReturnType<typeof digestOf>,
  ReturnType<typeof digestOf>,
];
const ended = (parts: Partial<EndedCall> = {}): EndedCall => ({
  direction: "inbound",
  service: "echo",
  method: "m",
  code: status.OK,
  reason: undefined,
  tookMs: 3,
  ...parts,
});

test.each([
  ["an answer", {}, [1, 0, 0]],
  ["a refusal of its own", { code: status.PERMISSION_DENIED, reason: "denied" }, [1, 1, 0]],
  ["a refusal that the application meant", { code: status.PERMISSION_DENIED }, [1, 0, 0]],
  ["a refusal of the other side's proxy", { direction: "outbound", code: status.PERMISSION_DENIED }, [1, 0, 0]],
  ["a failure of the application", { code: status.INTERNAL }, [1, 0, 1]],
  ["a failure of the other side", { direction: "outbound", code: status.UNAVAILABLE }, [1, 0, 0]],
  ["no endpoint to go to", { direction: "outbound", code: status.UNAVAILABLE, reason: "no-endpoint" }, [1, 0, 1]],
  ["a call that was given up", { code: status.CANCELLED }, [1, 0, 0]],
] as const)("%s counts as it should", (_name, parts, expected) => {
  const window = new CallWindow(one);
  window.ended(ended(parts));
  const { calls, refused, failed } = window.calls;
  expect([calls, refused, failed]).toEqual(expected);
});

test("each epoch counts anew; of the last one under another revision the counts are kept", () => {
  const window = new CallWindow(one);
  expect([window.calls, window.before]).toEqual([{ calls: 0, refused: 0, failed: 0, took: [] }, undefined]);
  for (let n = 0; n < 5; n += 1) window.ended(ended());
  window.switched(two);
  expect([window.calls.calls, window.before?.calls]).toEqual([0, 5]);
  for (let n = 0; n < 3; n += 1) window.ended(ended());
  window.switched(two); // the next stage: the same revision
  expect([window.calls.calls, window.before?.calls]).toEqual([0, 5]);
  window.switched(one);
  expect(window.before?.calls).toBe(0);
});

test("calls are put in classes by how long they took, and refused ones in none", () => {
  const window = new CallWindow(one);
  for (const tookMs of [1, 1.1, 60, 20_000]) window.ended(ended({ tookMs }));
  window.ended(ended({ code: status.PERMISSION_DENIED, reason: "denied", tookMs: 0 }));
  const { took } = window.calls;
  expect(took).toHaveLength(tookBoundsMs.length + 1);
  expect(took).toEqual([1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
});
