import { describe, expect, test } from "@jest/globals";
import { accessChange, activationInfo, revisionInfo, rolloutInfo } from "../../console/api/messages.js";
import { confirmationOf, effectOf, isConfirmed } from "../../console/pages/revisions/access-effect.js";
import { buildDiffRows, foldRows } from "../../console/pages/revisions/diff-rows.js";
import { parseStages, viewStages } from "../../console/pages/revisions/stages.js";
import { addActivation, buildTimeline, describeActivation } from "../../console/pages/revisions/timeline.js";

const day = 86_400_000;
const revisions = [1, 2, 3].map((number) =>
  revisionInfo({ number, message: `change ${number}`, timeMs: number * day, author: "spiffe://shop/operator/ada" }),
);
const activations = [
  activationInfo({ epoch: 1, revision: 1, timeMs: day + 5 }),
  activationInfo({ epoch: 2, revision: 3, timeMs: 3 * day }),
  activationInfo({ epoch: 3, revision: 1, rollbackOf: 3, timeMs: 3 * day + 9, reason: "UNAVAILABLE" }),
];

describe("the timeline", () => {
  const names = (search: string, withActivations = true): readonly (readonly string[])[] =>
    buildTimeline(revisions, activations, { search, activations: withActivations }).map(({ entries }) =>
      entries.map((entry) =>
        entry.kind === "revision" ? `revision ${entry.revision.number}` : `epoch ${entry.activation.epoch}`,
      ),
    );

  test("has revisions and activations by day, newest first", () => {
    expect(names("")).toEqual([["epoch 3", "epoch 2", "revision 3"], ["revision 2"], ["epoch 1", "revision 1"]]);
  });

  test("is searched in what is shown", () => {
    expect(names("unavailable")).toEqual([["epoch 3"]]);
    expect(names("change 2")).toEqual([["revision 2"]]);
    expect(names("", false).flat()).toEqual(["revision 3", "revision 2", "revision 1"]);
  });

  test("an activation that is told twice is there once, and the oldest leave when there are many", () => {
    const [first, second, third] = activations;
    if (first === undefined || second === undefined || third === undefined) throw new Error("there are three");
    const known = [second, first, second, third].reduce<ReturnType<typeof addActivation>>(
      (all, next) => addActivation(all, next, 2),
      [],
    );
    expect(known.map(({ epoch }) => epoch)).toEqual([2, 3]);
  });

  test("says what an activation did", () => {
    const word = (json: object): string => describeActivation(activationInfo({ revision: 7, ...json })).word;
    expect([
      word({}),
      word({ forced: true }),
      word({ rollbackOf: 8 }),
      word({ rollout: 2, stage: 1 }),
      word({ rollout: 2, stage: 1, paused: true }),
    ]).toEqual([
      "revision 7 activated",
      "revision 7 activated by force",
      "rolled back from 8 to 7",
      "rollout 2: stage 1 of revision 7",
      "rollout 2 paused at stage 1",
    ]);
  });
});

describe("a diff side by side", () => {
  const show = (lines: readonly string[]) =>
    buildDiffRows(lines).map(({ kind, before, after }) => [
      kind,
      before && `${before.line} ${before.text}`,
      after && `${after.line} ${after.text}`,
    ]);

  test("puts what was taken away beside what came in its place", () => {
    expect(show([" a", "-b", "-c", "+B", " d"])).toEqual([
      ["same", "1 a", "1 a"],
      ["changed", "2 b", "2 B"],
      ["removed", "3 c", undefined],
      ["same", "4 d", "3 d"],
    ]);
    expect(show(["+a", "+b"])).toEqual([
      ["added", undefined, "1 a"],
      ["added", undefined, "2 b"],
    ]);
  });

  test("has every line of both sides once, in order", () => {
    const lines = [" 1", "-2", "+3", " 4", "+5", "-6", "-7", "+8", "+9", " 0"];
    const rows = buildDiffRows(lines);
    const side = (which: "before" | "after") => rows.flatMap((row) => row[which]?.text ?? []);
    expect(side("before")).toEqual(lines.filter((line) => !line.startsWith("+")).map((line) => line.slice(1)));
    expect(side("after")).toEqual(lines.filter((line) => !line.startsWith("-")).map((line) => line.slice(1)));
  });

  test("folds what is the same, and one row never", () => {
    const same = Array.from({ length: 10 }, (_, index) => ` ${index}`);
    const folded = foldRows(buildDiffRows([...same, "-x", " y", " z", " w"]), 2);
    expect(folded.map((row) => (row.kind === "gap" ? `gap of ${row.rows.length}` : row.kind))).toEqual([
      "gap of 8",
      "same",
      "same",
      "removed",
      "same",
      "same",
      "same",
    ]);
  });
});

test("access is gained, lost, or under another condition", () => {
  const effect = effectOf(["gains", "loses", "changes", "loses"].map((change) => accessChange({ change })));
  expect([effect.gains.length, effect.loses.length, effect.changes.length]).toEqual([1, 2, 1]);
});

test("a confirmation names the revision", () => {
  const expected = confirmationOf("roll back", 7);
  expect(
    ["roll back 7", " Roll  back 7 ", "roll back 8", "", "7"].map((typed) => isConfirmed(typed, expected)),
  ).toEqual([true, true, false, false, false]);
});

describe("stages", () => {
  test("are read as operators write them", () => {
    expect(parseStages("1, 25%:2m label:canary=true, 0.5%:500ms, 100%").stages).toEqual([
      { count: 1 },
      { basisPoints: 2500, holdMs: "120000" },
      { label: { key: "canary", value: "true" } },
      { basisPoints: 50, holdMs: "500" },
      { basisPoints: 10_000 },
    ]);
  });

  test("what is no stage is named, and the last one is everybody", () => {
    expect(parseStages("10%, x%").problem).toContain("x%");
    expect(parseStages("101%, 100%").problem).toContain("101%");
    expect(parseStages("0, 100%").problem).toContain("0 is no stage");
    expect(parseStages("10%").problem).toContain("100%");
    expect(parseStages(" ").problem).toBeDefined();
    expect(parseStages("1,".repeat(40)).problem).toContain("32");
  });

  const rollout = rolloutInfo({
    state: "running",
    stages: ["1", "25%:2m", "100%"],
    stage: 2,
    stageSinceMs: 0,
    holdMs: 9,
  });
  const states = (json: object, nowMs: number) => viewStages({ ...rollout, ...json }, nowMs).map(({ state }) => state);

  test("show how far a rollout is", () => {
    expect(states({}, 0)).toEqual(["done", "now", "next"]);
    expect(viewStages(rollout, 60_000)[1]?.share).toBe(0.5);
    expect(viewStages(rollout, 600_000)[1]?.share).toBe(1);
    expect(states({ state: "done", stage: 3 }, 0)).toEqual(["done", "done", "done"]);
    expect(states({ state: "rolled-back" }, 0)).toEqual(["done", "ended", "next"]);
  });
});
