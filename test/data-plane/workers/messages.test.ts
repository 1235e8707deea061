import { expect, test } from "@jest/globals";
import { readFromWorker } from "../../../data-plane/workers/messages.js";

const count = {
  ...{ caller: "spiffe://test/service/a", method: "s.S/New", calledMethod: "s.S/Old", rule: "default-deny" },
  ...{ verdict: "denied", revision: 3, count: 9, fromMs: 1, untilMs: 2 },
};
const digest = Buffer.alloc(16, 9).toString("base64url");
const reportOf = (keys: readonly unknown[]) => ({ limits: [{ limit: digest, keys }] });

test("what a worker may say is read as it was said", () => {
  for (const message of [
    { kind: "hello" },
    { kind: "done", task: 3, problem: undefined, value: { any: 1 } },
    { kind: "done", task: 3, problem: "why", value: undefined },
    { kind: "question", question: 1, what: { kind: "use-service", service: "payments" } },
    { kind: "question", question: 1, what: { kind: "follow-service", service: "payments" } },
    { kind: "question", question: 1, what: { kind: "hear-of-epoch", epoch: 7, peer: "spiffe://test/service/shop" } },
    {
      ...{ kind: "question", question: 2 },
      what: { kind: "journal-append", subject: "a.b", data: new Uint8Array([1]), headers: { "Nats-Msg-Id": "i" } },
    },
    { kind: "question", question: 2, what: { kind: "journal-read", query: { sequence: 7 } } },
    { kind: "question", question: 2, what: { kind: "journal-read", query: { lastOf: "a.b" } } },
    { kind: "question", question: 2, what: { kind: "journal-read", query: { nextOf: "a.b", from: 3 } } },
    { kind: "question", question: 3, what: { kind: "record", decisions: [], counts: [count], dropped: 0 } },
    { kind: "closed", listener: "inbound" },
    { kind: "closed", listener: 2 },
    { kind: "closed", listener: 2, address: "192.0.2.1" },
    { kind: "refused", instance: "one" },
    { kind: "limits", scope: "mesh", report: reportOf([{ key: digest, perSecond: 1.5, released: 0 }]) },
    { kind: "limits", scope: "proxy", report: { limits: [] } },
  ]) {
    expect(readFromWorker({ ...message, extra: true })).toEqual(message);
  }
});

test("anything else is refused: workers read what strangers send", () => {
  for (const value of [
    undefined,
    null,
    "hello",
    {},
    { kind: "setup" },
    { kind: "done", task: -1 },
    { kind: "done", task: 1.5 },
    { kind: "done", task: 1, problem: "x".repeat(5000) },
    { kind: "question", question: 1 },
    { kind: "question", question: 1, what: { kind: "other" } },
    { kind: "question", question: 1, what: { kind: "use-service", service: "@mesh" } },
    { kind: "question", question: 1, what: { kind: "use-service", service: ["a"] } },
    { kind: "question", question: 1, what: { kind: "hear-of-epoch", epoch: Number.NaN, peer: "a" } },
    { kind: "question", question: 2, what: { kind: "journal-append", subject: "a.b", data: "text", headers: {} } },
    {
      kind: "question",
      question: 2,
      what: { kind: "journal-append", subject: "a", data: digest, headers: { a: "b\r\n" } },
    },
    { kind: "question", question: 2, what: { kind: "journal-read", query: { nextOf: "a.b", from: -1 } } },
    { kind: "question", question: 2, what: { kind: "journal-read" } },
    { kind: "closed", listener: "outbound" },
    { kind: "refused", instance: 1 },
    { kind: "limits", scope: "all", report: { limits: [] } },
    { kind: "limits", scope: "mesh", report: {} },
    { kind: "limits", scope: "mesh", report: { limits: Array(33).fill({ limit: digest, keys: [] }) } },
    { kind: "limits", scope: "mesh", report: { limits: [{ limit: `${digest} `, keys: [] }] } },
    { kind: "limits", scope: "mesh", report: reportOf([{ key: "short", perSecond: 1, released: 1 }]) },
    { kind: "limits", scope: "mesh", report: reportOf([{ key: digest, perSecond: Number.NaN, released: 1 }]) },
    { kind: "limits", scope: "mesh", report: reportOf([{ key: digest, perSecond: 1, released: -1 }]) },
    { kind: "limits", scope: "mesh", report: reportOf(Array(129).fill({ key: digest, perSecond: 1, released: 0 })) },
  ]) {
    expect(() => readFromWorker(value)).toThrow("a message of a worker");
  }
});
