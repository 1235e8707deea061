import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { parseSpiffeId } from "../../../core/identity.js";
import { methodsToldMax, otherCaller, tookBoundsMs } from "../../../core/model.js";
import type { EndedCall } from "../../../data-plane/proxy/proxy-metrics.js";
import { CallWindow } from "../../../data-plane/status/call-window.js";
import { CrewWindow } from "../../../data-plane/workers/crew-window.js";

const [one, two] = ["one", "two"].map((text) => digestOf(Buffer.from(text))) as [
  ReturnType<typeof digestOf>,
  ReturnType<typeof digestOf>,
];
const ended = (parts: Partial<EndedCall> = {}): EndedCall => ({
  direction: "inbound",
  service: "echo",
  method: "a.A/One",
  caller: parseSpiffeId("spiffe://mesh/service/front"),
  code: status.OK,
  reason: undefined,
  tookMs: 3,
  version: "v1",
  requestBytes: 0,
  responseBytes: 0,
  attempts: 1,
  isMirrored: false,
  ...parts,
});

test.each([
  ["an answer", {}, [1, 0, 0]],
  ["a copy of a call", { isMirrored: true, code: status.INTERNAL }, [0, 0, 0]],
  ["a refusal of its own", { code: status.PERMISSION_DENIED, reason: "denied" }, [1, 1, 0]],
  ["a refusal that the application meant", { code: status.PERMISSION_DENIED }, [1, 0, 0]],
  ["a refusal of the other side's proxy", { direction: "outbound", code: status.PERMISSION_DENIED }, [1, 0, 0]],
  ["a failure of the application", { code: status.INTERNAL }, [1, 0, 1]],
  ["a failure of the other side", { direction: "outbound", code: status.UNAVAILABLE }, [1, 0, 0]],
  ["no endpoint to go to", { direction: "outbound", code: status.UNAVAILABLE, reason: "no-endpoint" }, [1, 0, 1]],
  ["a read that goes to the primary", { code: status.UNAVAILABLE, reason: "not-applied" }, [0, 0, 0]],
  ["a call that was given up", { code: status.CANCELLED }, [1, 0, 0]],
] as const)("%s counts as it should", (_name, parts, expected) => {
  const window = new CallWindow(one);
  window.ended(ended(parts));
  const { calls, refused, failed } = window.calls;
  expect([calls, refused, failed]).toEqual(expected);
});

test("each epoch counts anew; of the last one under another revision the counts are kept", () => {
  const window = new CallWindow(one);
  expect([window.calls, window.before]).toEqual([
    { calls: 0, refused: 0, failed: 0, took: [], methods: [] },
    undefined,
  ]);
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

describe("calls by method", () => {
  test("are told apart by direction, service and method, and begin anew with each epoch", () => {
    const window = new CallWindow(one);
    const out = { direction: "outbound", service: "cart" } as const;
    window.ended(ended());
    window.ended(ended({ code: status.PERMISSION_DENIED, reason: "denied" }));
    window.ended(ended(out));
    window.ended(ended({ ...out, code: status.UNAVAILABLE })); // of the other side: which one answers is the route's doing
    window.ended(ended({ ...out, code: status.PERMISSION_DENIED }));
    const told = window.calls.methods?.map(({ took: _took, ...rest }) => rest);
    expect(told).toEqual([
      { outbound: true, service: "cart", method: "a.A/One", calls: 3, refused: 1, failed: 1 },
      { outbound: false, service: "echo", method: "a.A/One", caller: "front", calls: 2, refused: 1, failed: 0 },
    ]);
    expect(window.calls.methods?.map(({ took }) => took[2])).toEqual([2, 1]);
    window.switched(two);
    expect([window.calls.methods, window.before?.methods?.length]).toEqual([[], 2]);
  });

  test("are told apart by who calls; who is no service of the mesh has no name", () => {
    const window = new CallWindow(one);
    const from = (id: string, times: number) => {
      for (let n = 0; n < times; n += 1) window.ended(ended({ caller: parseSpiffeId(id) }));
    };
    from("spiffe://mesh/service/front", 3);
    from("spiffe://mesh/service/cart", 2);
    from("spiffe://mesh/gateway/public", 1);
    expect(window.calls.methods?.map(({ caller, calls }) => [caller, calls])).toEqual([
      ["front", 3],
      ["cart", 2],
      [otherCaller, 1],
    ]);
    const crew = new CrewWindow();
    for (const worker of [0, 1]) crew.take(worker, { epoch: 1, calls: window.calls, before: undefined });
    expect(crew.calls.methods?.map(({ caller, calls }) => [caller, calls])).toEqual([
      ["front", 6],
      ["cart", 4],
      [otherCaller, 2],
    ]);
  });

  test("that are made up crowd out none that is called again and again, and what is no method is not told", () => {
    const window = new CallWindow(one);
    for (let n = 0; n < 3; n += 1) window.ended(ended());
    for (let n = 0; n < 1000; n += 1)
      window.ended(ended({ method: `made.Up/M${n}`, code: status.PERMISSION_DENIED, reason: "denied" }));
    for (const method of ["", "no-method", `a.A/${"x".repeat(500)}`, "a.A/\u0000"]) window.ended(ended({ method }));
    window.ended(ended({ direction: "outbound", service: "NOT a name" }));
    const methods = window.calls.methods ?? [];
    expect(methods).toHaveLength(methodsToldMax);
    expect(methods[0]).toMatchObject({ method: "a.A/One", calls: 3 });
    expect(window.calls.calls).toBe(1008);
  });

  test("of several workers are added up", () => {
    const windows = [0, 1].map(() => new CallWindow(one));
    for (const [at, window] of windows.entries()) {
      for (let n = 0; n <= at; n += 1) window.ended(ended());
      window.ended(ended({ method: `a.A/Own${at}` }));
    }
    const crew = new CrewWindow();
    for (const [at, { calls, before }] of windows.entries()) crew.take(at, { epoch: 1, calls, before });
    expect(crew.calls.methods?.map(({ method, calls }) => [method, calls])).toEqual([
      ["a.A/One", 3],
      ["a.A/Own0", 1],
      ["a.A/Own1", 1],
    ]);
    expect(crew.calls.calls).toBe(5);
  });
});
