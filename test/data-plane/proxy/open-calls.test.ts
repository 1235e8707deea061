import { getEventListeners } from "node:events";
import { expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { unavailableAnswer } from "../../../data-plane/proxy/answer.js";
import { type OpenCall, OpenCalls } from "../../../data-plane/proxy/open-calls.js";

const inputs = { header: () => undefined, sourceAddress: undefined, nowMs: 0, claims: undefined };

function openCall(method: string, answer: () => void): OpenCall {
  const caller = buildSpiffeId("test", "service", "front");
  return {
    caller,
    service: "callee",
    method,
    inputs: { ...inputs, destinationLabels: new Map() },
    ...{
      calledMethod: undefined,
      claims: undefined,
      tokenIssuer: undefined,
      nextOpen: null,
      previousOpen: null,
      isOpen: false,
      isMirrored: false,
      answer,
      judged() {},
    },
  };
}

test("a call that ends while others are judged again is not judged: nothing of it is left to judge", () => {
  const open = new OpenCalls();
  const answered: string[] = [];
  const add = (method: string, answer: () => void): void => {
    const call = openCall(method, answer);
    calls.push(call);
    open.add(call);
  };
  const calls: OpenCall[] = [];
  add("s.S/Second", () => answered.push("second"));
  add("s.S/First", () => {
    answered.push("first");
    for (const call of calls) open.remove(call); // their connection ends
  });
  const judged: string[] = [];
  const ended = open.judgeAgain(({ method }) => {
    judged.push(method);
    return unavailableAnswer("draining", "over", 1);
  });
  expect([ended, judged, answered, open.size]).toEqual([1, ["s.S/First"], ["first"], 0]);
});

test("who waits until no call is open hears the last end, and the signal holds nobody afterwards", async () => {
  const open = new OpenCalls();
  const { signal } = new AbortController();
  const [first, second] = [openCall("s.S/First", () => {}), openCall("s.S/Second", () => {})];
  open.add(first);
  open.add(second);
  let isIdle = false;
  const waiting = open.whenNone(signal).then(() => {
    isIdle = true;
  });
  open.remove(first);
  await Promise.resolve();
  expect([isIdle, getEventListeners(signal, "abort").length]).toEqual([false, 1]);
  open.remove(second);
  await waiting;
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});
