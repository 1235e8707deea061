/** What the end of an attempt says of the instance that it went to. */
import { status } from "@grpc/grpc-js";
import { expect, test } from "@jest/globals";
import { outcome } from "../../../core/balance/outliers.js";
import { outcomeOf } from "../../../data-plane/proxy/service-traffic.js";

const { success, failure, timeout } = outcome;

test.each([
  ["an answer of the application", "answered", status.NOT_FOUND, false, success],
  ["an answer that blames the server", "answered", status.UNAVAILABLE, false, failure],
  ["a lost connection", "lost", status.OK, false, failure],
  ["no answer before the deadline", "silent", status.OK, true, timeout],
  [
    "the destination's proxy, which saw the deadline first, answers for an application that hangs",
    "answered",
    status.DEADLINE_EXCEEDED,
    true,
    timeout,
  ],
  ["an application that gave up something of its own in time", "answered", status.DEADLINE_EXCEEDED, false, success],
  ["the caller's own wish", "cancelled", status.OK, true, undefined],
  ["a refusal, after which the call goes elsewhere", "refused", status.OK, false, undefined],
] as const)("%s", (_name, ended, code, isLate, expected) => {
  expect(outcomeOf(ended, code, isLate)).toBe(expected);
});
