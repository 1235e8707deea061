import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { digestOf } from "../../../core/digest.js";
import { AshlarError } from "../../../core/errors.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import type { Rollout, StageOfRollout } from "../../../core/rollout/rollout-model.js";
import { claimedType, publicKeyFromBytes, signRecord } from "../../../core/signature.js";
import { encodeHeartbeat } from "../../../core/wire/fleet.js";
import { signActivation, verifyActivation } from "../../../core/wire/records.js";
import { signRollout, verifyRollout } from "../../../core/wire/rollouts.js";
import { Activation, Rollout as RolloutMessage } from "../../../proto/gen/ashlar/v1/records.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";
import { createTestKey, testAuthor, testMesh } from "../../support/records.js";
import { runs } from "../../support/runs.js";

const key = createTestKey();
const keys = new Map([[key.signer.kid, publicKeyFromBytes(key.publicKey)]]);
const ref = (number: number) => ({ number, digest: digestOf(Buffer.from(`revision ${number}`)) });
const plan: Rollout = {
  number: 1,
  previous: undefined,
  candidate: ref(2),
  base: ref(1),
  stages: [
    { kind: "count", count: 1 },
    { kind: "label", key: "canary", value: "true" },
    { kind: "percent", basisPoints: 1250 },
    { kind: "percent", basisPoints: 10_000 },
  ],
  holdMs: 30_000,
  gates: { ...gatesDefault, latency: undefined },
  author: testAuthor,
  reason: "why",
  timeMs: 1000,
};
const stage: StageOfRollout = {
  number: 1,
  digest: digestOf(Buffer.from("plan")),
  stage: 1,
  base: ref(1),
  cohort: { basisPoints: 1250, proxyIds: ["echo-1", "echo-2"] },
  paused: true,
};
const plain = {
  epoch: 7,
  previous: digestOf(Buffer.from("six")),
  revisionNumber: 3,
  revisionDigest: digestOf(Buffer.from("three")),
  author: testAuthor,
  reason: "why",
  rollbackOf: 4,
  timeMs: 1_700_000_000_000,
  forced: true,
  thresholdPercent: 90,
  rollout: undefined,
};

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof AshlarError ? error.code : "not an AshlarError";
  }
  return "accepted";
}

const payloadOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(Buffer.from(bytes).toString().split(".")[1] ?? "", "base64url");

test("a plan comes back as it was signed, and is not an activation; nor is an activation a plan", () => {
  const signed = signRollout(plan, testMesh, key.signer);
  expect(verifyRollout(signed.bytes, testMesh, keys)).toEqual(signed);
  expect(claimedType(signed.bytes)).toBe("ashlar-rollout");
  expect(codeOf(() => verifyActivation(signed.bytes, testMesh, keys))).toBe("invalid_record");
  const activation = signActivation(plain, testMesh, key.signer);
  expect(claimedType(activation.bytes)).toBe("ashlar-activation");
  expect(codeOf(() => verifyRollout(activation.bytes, testMesh, keys))).toBe("invalid_record");
});

test("holds of stages are signed with the plan, and one without them has the bytes that it had before", () => {
  const [first, ...rest] = plan.stages;
  if (first === undefined) throw new Error("no stage");
  const signed = signRollout({ ...plan, stages: [{ ...first, holdMs: 0 }, ...rest] }, testMesh, key.signer);
  expect(verifyRollout(signed.bytes, testMesh, keys)).toEqual(signed);
  expect(signed.body.stages[0]).toEqual({ ...first, holdMs: 0 });
  const plainly = RolloutMessage.decode(payloadOf(signRollout(plan, testMesh, key.signer).bytes));
  const bytes = Buffer.from(RolloutMessage.encode(plainly).finish()).toString("hex");
  expect(bytes).toContain("2a020801"); // a stage is its count and nothing else
});

test("I3: one flipped bit anywhere in a plan is refused, whatever type it claims then", () => {
  const signed = signRollout(plan, testMesh, key.signer);
  fc.assert(
    fc.property(fc.nat(signed.bytes.length * 8 - 1), (bit) => {
      const bytes = signed.bytes.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      claimedType(bytes); // never throws
      expect(["invalid_record", "unauthenticated"]).toContain(codeOf(() => verifyRollout(bytes, testMesh, keys)));
    }),
    { numRuns: runs(400) },
  );
});

test("what is no record claims no type", () => {
  for (const text of ["", ".", "..", "x", "e30.", "bnVsbA.x.y", "WzFd.x.y", `${"a".repeat(5000)}.x`])
    expect(claimedType(Buffer.from(text))).toBeUndefined();
});

test.each([
  ["stages that do not end at 100%", { stages: plan.stages.slice(0, 2) }],
  ["no stages", { stages: [] }],
  ["base and candidate alike", { base: plan.candidate }],
  ["a hold that never ends", { holdMs: 8 * 86_400_000 }],
  [
    "a stage's hold that never ends",
    { stages: [{ kind: "count", count: 1, holdMs: 8 * 86_400_000 } as const, ...plan.stages.slice(1)] },
  ],
  ["a hold of the last stage", { stages: [{ kind: "percent", basisPoints: 10_000, holdMs: 1 } as const] }],
  ["a number without what came before", { number: 2 }],
  ["a share beyond 100%", { gates: { ...gatesDefault, refused: { timesPercent: 100, moreBasisPoints: 10_001 } } }],
])("a plan with %s is refused, and is not signed either", (_name, parts) => {
  expect(["invalid_record", "invalid_argument"]).toContain(
    codeOf(() => signRollout({ ...plan, ...parts }, testMesh, key.signer)),
  );
});

test("I6: a plan with a field, or a stage of a kind, that this version does not know is refused", () => {
  const payload = payloadOf(signRollout(plan, testMesh, key.signer).bytes);
  const more = signRecord(
    "ashlar-rollout",
    testMesh,
    Buffer.concat([payload, Buffer.from("a80601", "hex")]),
    key.signer,
  );
  expect(codeOf(() => verifyRollout(more, testMesh, keys))).toBe("invalid_record");
  const message = RolloutMessage.decode(payload);
  const strange = RolloutMessage.encode({
    ...message,
    stages: [{ kind: undefined, holdMs: undefined }, ...message.stages],
  }).finish();
  const signed = signRecord("ashlar-rollout", testMesh, strange, key.signer);
  expect(codeOf(() => verifyRollout(signed, testMesh, keys))).toBe("invalid_record");
});

test("an activation says which stage of which rollout it is", () => {
  const signed = signActivation({ ...plain, rollout: stage }, testMesh, key.signer);
  expect(verifyActivation(signed.bytes, testMesh, keys).body.rollout).toEqual(stage);
});

test.each([
  ["ids that are not sorted", { cohort: { basisPoints: 0, proxyIds: ["b", "a"] } }],
  ["an id twice", { cohort: { basisPoints: 0, proxyIds: ["a", "a"] } }],
  ["what is no id", { cohort: { basisPoints: 0, proxyIds: ["a b"] } }],
  ["too many ids", { cohort: { basisPoints: 0, proxyIds: Array.from({ length: 1001 }, (_, n) => `p${10_000 + n}`) } }],
  ["a share beyond 100%", { cohort: { basisPoints: 10_001, proxyIds: [] } }],
  ["stage 0", { stage: 0 }],
])("an activation whose stage has %s is refused", (_name, parts) => {
  expect(codeOf(() => signActivation({ ...plain, rollout: { ...stage, ...parts } }, testMesh, key.signer))).toBe(
    "invalid_record",
  );
});

test("what is no stage, and a heartbeat without counts, encode to the bytes that earlier versions wrote", () => {
  const activation = { ...plain, previous: digestOfByte(1), revisionDigest: digestOfByte(2) };
  const payload = payloadOf(signActivation(activation, testMesh, key.signer).bytes);
  expect(payload.toString("hex")).toBe(
    `08071220${"01".repeat(32)}18032220${"02".repeat(32)}2a21${Buffer.from(testAuthor).toString("hex")}3203776879` +
      "38044080d095ffbc314801505a",
  );
  expect(Activation.decode(payload).rollout).toBeUndefined();
  const heartbeat = buildHeartbeat("p", {
    timeMs: 1,
    seenEpoch: 2,
    evaluatingEpoch: 2,
    evaluatingRevision: 1,
    evaluatingDigest: digestOfByte(3),
    certificateExpiresMs: 5,
    freshnessAgeMs: 6,
    lagMs: 7,
  });
  expect(Buffer.from(encodeHeartbeat(heartbeat)).toString("hex")).toBe(
    `0a01701208${Buffer.from("payments").toString("hex")}1a02763120012802300238014220${"03".repeat(32)}5805600668077001` +
      "7801",
  );
});

function digestOfByte(byte: number): ReturnType<typeof digestOf> {
  return Buffer.alloc(32, byte).toString("hex") as ReturnType<typeof digestOf>;
}
