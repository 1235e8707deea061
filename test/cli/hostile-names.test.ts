/**
 * Names, messages, methods and headers that others wrote, in what every command prints: none of them steers a terminal,
 * makes a line of its own, or hides what stands beside it.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createProgress } from "../../cli/progress.js";
import { AdminServiceService, type GetConvergenceResponse } from "../../proto/gen/ashlar/v1/admin.js";
import { Decision_Verdict, DecisionBatch, RefusalCount } from "../../proto/gen/ashlar/v1/decision.js";
import { buildHostileAnswers } from "../support/hostile-answers.js";
import { type Answers, type FakeAdmin, proxyInfo, startFakeAdmin, statusInfo } from "./fake-admin.js";

/** Clears the screen, turns the text around, begins a sequence of eight-bit terminals, and begins a line. */
const hostile = "\x1b[2Jpay\u202ements\x9b31m\x1b]0;title\x07\nMALLORY";
const steering = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const steered = (printed: string): readonly string[] =>
  printed.split("\n").filter((line) => steering.test(line) || /^(ashlar: )?MALLORY/.test(line));

const lines: readonly (readonly string[])[] = [
  ["token", "--service", "payments"],
  ["issuer", "list"],
  ["egress", "list"],
  ["trust", "show"],
  ["diff", "1", "2"],
  ["log"],
  ["rollout", "status"],
  ["rollout", "list"],
  ["shadow", "status"],
  ["status"],
  ["services"],
  ["proxies"],
  ["blame"],
  ["console"],
  ["doctor"],
  ["can", "checkout", "payments/shop.Payments/Charge"],
  ["who-can", "payments/shop.Payments/Charge"],
  ["audit"],
  ["tap", "--count", "1"],
  ["top", "--once"],
  ["journal", "list"],
  ["journal", "show", "ledger", "1"],
  ["journal", "holder"],
  ["decisions"],
  ["explain", "0".repeat(24)],
  ["replay", "--candidate", "3"],
  ["activate", "3"],
  ["rollback"],
  ["revoke", "payments-a2b3c4d5"],
];

/** What somebody could write who stole a proxy's identity: control planes check that the caller is an identity, and nothing else. */
const refusals = RefusalCount.fromPartial({
  ...{ caller: "spiffe://test/service/shop", method: hostile, calledMethod: hostile, rule: hostile },
  ...{ verdict: Decision_Verdict.VERDICT_DENIED, count: 3, fromMs: 1, untilMs: 2 },
});

/** What is answered here these commands do not take for a recorded decision, and say so. */
const refusing: ReadonlySet<string> = new Set(["explain", "replay"]);

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
  const codecs = AdminServiceService as unknown as Record<
    string,
    { readonly responseStream: boolean; responseDeserialize(bytes: Buffer): unknown }
  >;
  const answers: Record<string, unknown> = {};
  for (const [method, bytes] of buildHostileAnswers(hostile)) {
    const answer = codecs[method]?.responseDeserialize(Buffer.from(bytes));
    answers[method] = codecs[method]?.responseStream === true ? [answer] : answer;
  }
  const [view, entry] = [answers.watchTraffic as [object], answers.getJournalEntry as object];
  admin.answers = {
    ...answers,
    // as far as the commands have to understand what they print
    watchTraffic: [{ ...view[0], windowMs: 3000 }],
    getJournalEntry: { ...entry, parts: undefined },
    getRevision: { ...(answers.getRevision as object), json: "" },
    listDecisions: [
      { batch: DecisionBatch.fromPartial({ service: "payments", proxyId: "p-1", share: 1, counted: [refusals] }) },
    ],
  } as Answers;
});
afterAll(() => admin.stop());

describe.each(lines.map((line) => [line.join(" "), line] as const))("ashlar %s", (_, line) => {
  test("prints no character that a terminal obeys, and no line that somebody else wrote", async () => {
    for (const format of [[], ["-o", "json"]]) {
      const { out, error } = await admin.run(...line, ...format);
      const printed = out + error;
      expect(refusing.has(line[0] ?? "") ? error : out).not.toBe("");
      expect(steered(printed)).toEqual([]);
    }
  });
});

test("why the fleet is not ready in time makes no line of its own", async () => {
  const answers = admin.answers;
  const proxy = proxyInfo("p-1", { epoch: 3, rejectedRevision: 3, rejectedReason: hostile });
  admin.answers = { ...answers, getStatus: statusInfo(), listProxies: { proxies: [proxy] } };
  const { code, error } = await admin.run("wait", "--epoch", "4", "--timeout", "1ms");
  admin.answers = answers;
  expect(code).not.toBe(0);
  expect(error).toContain("MALLORY");
  expect(steered(error)).toEqual([]);
});

test("what is shown while a command waits for proxies is escaped", async () => {
  const answers = admin.answers;
  let activated: (answer: unknown) => void = () => {};
  const activation = new Promise((resolve) => {
    activated = resolve;
  });
  let asked = 0;
  const getConvergence = () => {
    asked += 1;
    if (asked === 2) activated(answers.activateRevision); // what the first answer said is shown by then
    const proxies = (answers.getConvergence as GetConvergenceResponse).proxies;
    return { proxies: proxies.map((each) => ({ ...each, prepared: false })) };
  };
  admin.answers = { ...answers, activateRevision: () => activation, getConvergence };
  const { error } = await admin.run("activate", "3");
  admin.answers = answers;
  expect(error).toContain("waiting for proxies");
  expect(steered(error)).toEqual([]);
});

test("doctor puts a remedy on a line of its own, which nobody else can write", async () => {
  const answers = admin.answers;
  const bypassable = [`p-1 (${hostile}): app tcp 127.0.0.1:50051`];
  admin.answers = { ...answers, getStatus: statusInfo({ bypassable }), listEgresses: { egresses: [] } };
  const { out } = await admin.run("doctor");
  admin.answers = answers;
  const lines = out.split("\n");
  const at = lines.findIndex((line) => line.startsWith("application-on-tcp: p-1 "));
  expect(lines[at + 1]).toMatch(/^ {2}let the application listen on a Unix socket/);
  expect(steered(out)).toEqual([]);
});

test("at a terminal, what is shown while a command waits has the sequences of the command alone", () => {
  let written = "";
  const progress = createProgress({
    terminalColumns: 80,
    writeError: (text) => {
      written += text;
    },
  });
  progress(hostile);
  progress(`${hostile} again`);
  expect(steered(written.replace("\x1b[2A\x1b[J", "")).filter((line) => !line.startsWith("MALLORY"))).toEqual([]);
});
