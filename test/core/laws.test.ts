import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { historyStack, mayActivate, rollbackTarget } from "../../core/activation.js";
import { digestOf, zeroDigest } from "../../core/digest.js";
import { mayPublish } from "../../core/revision.js";
import { mayTrust } from "../../core/trust.js";
import { signActivation, signRevision, signTrust } from "../../core/wire/records.js";
import { buildActivation, buildRevision, buildTrust, createTestKey, testMesh } from "../support/records.js";

const { signer, publicKey } = createTestKey();
const key = { signer, publicKey };
const other = digestOf(Buffer.from("other"));

describe("I1: the revision log has no gap and no fork", () => {
  const head = signRevision(buildRevision(undefined), testMesh, signer);
  const next = buildRevision(head);
  for (const [name, from, revision, expected] of [
    ["the first is number 1 after the zero digest", undefined, buildRevision(undefined), true],
    ["the first is not number 2", undefined, { ...buildRevision(undefined), number: 2 }, false],
    ["the first has no other parent", undefined, { ...buildRevision(undefined), parent: other }, false],
    ["the next names its parent", head, next, true],
    ["no gap", head, { ...next, number: 3 }, false],
    ["no repetition", head, { ...next, number: 1 }, false],
    ["no fork", head, { ...next, parent: other }, false],
    ["no second beginning", head, { ...next, parent: zeroDigest }, false],
  ] as const) {
    test(name, () => expect(mayPublish(from, revision)).toBe(expected));
  }
});

describe("I2: epochs and trust sequences only grow, one link after the other", () => {
  const revision = signRevision(buildRevision(undefined), testMesh, signer);
  const first = signActivation(buildActivation(undefined, revision), testMesh, signer);
  const next = buildActivation(first, revision);
  for (const [name, seen, activation, expected] of [
    ["the first is epoch 1", undefined, first.body, true],
    ["the first is not epoch 2", undefined, { ...first.body, epoch: 2 }, false],
    ["the first has no previous", undefined, { ...first.body, previous: other }, false],
    ["the next follows", first, next, true],
    ["not the same again", first, first.body, false],
    ["not back", first, { ...next, epoch: 0 }, false],
    ["no gap", first, { ...next, epoch: 3 }, false],
    ["no other previous", first, { ...next, previous: other }, false],
  ] as const) {
    test(name, () => expect(mayActivate(seen, activation)).toBe(expected));
  }
  test("trust grows by one, names what came before and keeps every revocation", () => {
    const revoked = { serial: "ab", reason: "lost", timeMs: 1 };
    const one = signTrust({ ...buildTrust([key]), revocations: [revoked] }, testMesh, signer);
    const two = { ...buildTrust([key], one), revocations: [revoked] };
    expect(mayTrust(undefined, one.body)).toBe(true);
    expect(mayTrust(one, two)).toBe(true);
    expect(mayTrust(one, { ...two, revocations: [] })).toBe(false);
    expect(mayTrust(one, { ...two, sequence: 3 })).toBe(false);
    expect(mayTrust(one, { ...two, previous: other })).toBe(false);
    expect(mayTrust(one, one.body)).toBe(false);
  });
});

/** A script of "5" (activate), "<" (rollback) and "<5" (rollback --to 5), run as an operator would. */
function run(script: string) {
  const entries: { revisionNumber: number; rollbackOf: number | undefined }[] = [];
  for (const word of script.split(" ").filter((part) => part !== "")) {
    if (!word.startsWith("<")) {
      if (historyStack(entries).at(-1) !== Number(word)) {
        entries.push({ revisionNumber: Number(word), rollbackOf: undefined });
      }
      continue;
    }
    const target = rollbackTarget(entries, word === "<" ? undefined : Number(word.slice(1)), 9);
    if (target.kind === "target") entries.push({ revisionNumber: target.revision, rollbackOf: target.rollbackOf });
  }
  return entries;
}

describe("history is a stack", () => {
  for (const [script, expected] of [
    ["", []],
    ["1", [1]],
    ["1 2 <", [1]],
    ["1 2 < 3 <", [1]],
    ["1 2 3 < <", [1]],
    ["1 2 3 4 <2", [1, 2]],
    ["1 2 < <2", [1, 2]],
    ["1 2 <5", [1, 2, 5]],
    ["1 2 <5 <", [1, 2]],
    ["1 2 1 <", [1, 2]],
    ["1 2 1 3 <1", [1, 2, 1]],
    ["1 1 2 2 <", [1]],
    ["1 <", [1]],
  ] as const) {
    test(`"${script}" leads to [${expected.join(", ")}]`, () => expect(historyStack(run(script))).toEqual(expected));
  }
  for (const [script, to, why] of [
    ["", undefined, "nothing_active"],
    ["1", undefined, "nothing_before"],
    ["1 2 <", undefined, "nothing_before"],
    ["1 2", 2, "already_active"],
    ["1 2", 10, "unknown_revision"],
    ["1 2", 0, "unknown_revision"],
    ["1 2", 1.5, "unknown_revision"],
  ] as const) {
    test(`a rollback${to === undefined ? "" : ` to ${to}`} after "${script}" is refused: ${why}`, () => {
      expect(rollbackTarget(run(script), to, 9)).toEqual({ kind: "refused", why });
    });
  }
  test("the stack agrees with a push-and-pop model, and its top is always what was recorded last", () => {
    const word = fc.oneof(
      fc.integer({ min: 1, max: 5 }).map(String),
      fc.constant("<"),
      fc.integer({ min: 1, max: 5 }).map((n) => `<${n}`),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        const model: number[] = [];
        for (const step of words) {
          const top = model.at(-1);
          if (step === "<") {
            if (model.length > 1) model.pop();
          } else if (step.startsWith("<")) {
            const to = Number(step.slice(1));
            if (top === undefined || to === top) continue;
            if (model.includes(to)) while (model.at(-1) !== to) model.pop();
            else model.push(to);
          } else if (Number(step) !== top) model.push(Number(step));
        }
        const entries = run(words.join(" "));
        expect(historyStack(entries)).toEqual(model);
        expect(entries.at(-1)?.revisionNumber).toBe(model.at(-1));
      }),
    );
  });
});
