/**
 * Names, messages, methods and headers that others wrote, in what every command prints: none of them steers a terminal,
 * makes a line of its own, or hides what stands beside it.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import { buildHostileAnswers } from "../support/hostile-answers.js";
import { type Answers, type FakeAdmin, startFakeAdmin } from "./fake-admin.js";

/** Clears the screen, turns the text around, begins a sequence of eight-bit terminals, and begins a line. */
const hostile = "\x1b[2Jpay\u202ements\x9b31m\x1b]0;title\x07\nMALLORY";
const steering = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

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
  admin.answers = answers as Answers;
});
afterAll(() => admin.stop());

describe.each(lines.map((line) => [line.join(" "), line] as const))("ashlar %s", (_, line) => {
  test("prints no character that a terminal obeys, and no line that somebody else wrote", async () => {
    for (const format of [[], ["-o", "json"]]) {
      const { out, error } = await admin.run(...line, ...format);
      const printed = out + error;
      expect(printed.split("\n").filter((each) => steering.test(each))).toEqual([]);
      expect(printed.split("\n").filter((each) => each.startsWith("MALLORY"))).toEqual([]);
    }
  });
});
