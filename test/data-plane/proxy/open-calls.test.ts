import { expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { unavailableAnswer } from "../../../data-plane/proxy/answer.js";
import { type OpenCall, OpenCalls } from "../../../data-plane/proxy/open-calls.js";

test("a call that ends while others are judged again is not judged: nothing of it is left to judge", () => {
  const open = new OpenCalls();
  const answered: string[] = [];
  const inputs = { header: () => undefined, sourceAddress: undefined, nowMs: 0, claims: undefined };
  const add = (method: string, answer: () => void): void => {
    const caller = buildSpiffeId("test", "service", "front");
    const call: OpenCall = {
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
