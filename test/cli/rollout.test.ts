import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createProgress } from "../../cli/progress.js";
import { AshlarError } from "../../core/errors.js";
import { ActivationInfo, RolloutInfo } from "../../proto/gen/ashlar/v1/admin.js";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  revisionInfo,
  startFakeAdmin,
  statusInfo,
  timeMs,
} from "./fake-admin.js";

let admin: FakeAdmin;
let policy: string;

beforeAll(async () => {
  admin = await startFakeAdmin();
  policy = join(admin.folder, "policy");
  mkdirSync(policy);
  writeFileSync(join(policy, "a.yaml"), "kind: Service\nname: payments\n");
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = { getStatus: statusInfo(), diffRevisions: {} };
  admin.requests.length = 0;
});

const asked = (method: string): unknown => admin.requests.find((one) => one.method === method)?.request;
const begun = {
  activation: ActivationInfo.fromPartial({ epoch: 5, revision: 4, rollout: 2, stage: 1, base: 3 }),
  created: true,
  tookMs: 5,
};
const info = (parts: Partial<RolloutInfo> = {}): RolloutInfo =>
  RolloutInfo.fromPartial({
    ...{
      number: 2,
      digest: digestOf("c"),
      state: "running",
      candidate: 4,
      base: 3,
      stages: ["1", "10%", "100%"],
      stage: 1,
    },
    ...{
      stageSinceMs: timeMs,
      holdMs: 30_000,
      author: "spiffe://test/operator/admin",
      timeMs,
      epochs: [5],
      members: 1,
    },
    figures: [
      { gate: "samples", outcome: "holds", text: "3 calls judged by members, 9 to compare with, 20 of each asked for" },
    ],
    waitsFor: ["the hold of 30 s to end", "samples: 3 calls judged by members"],
    ...parts,
  });

describe("activate --stages", () => {
  test("hands over stages, hold and gates, and says where the rollout is", async () => {
    admin.answers = { ...admin.answers, activateRevision: begun, getRollout: { rollout: info() } };
    const flags = [
      "--stages",
      "1,label:canary=true,10%,100%",
      "--hold",
      "1m",
      "--gate",
      "samples=5",
      "--gate",
      "latency=off",
    ];
    const done = await admin.run("activate", "4", ...flags, "--end-rollout");
    expect([done.code, done.error]).toEqual([0, ""]);
    expect(done.out).toBe("Rollout 2 of revision 4: running, stage 1 of 3 (1); see `ashlar rollout status --watch`.\n");
    expect(asked("activateRevision")).toMatchObject({
      revision: 4,
      endRollout: true,
      plan: {
        stages: [
          { kind: { $case: "count", value: 1 } },
          { kind: { $case: "label", value: { key: "canary", value: "true" } } },
          { kind: { $case: "basisPoints", value: 1000 } },
          { kind: { $case: "basisPoints", value: 10_000 } },
        ],
        holdMs: 60_000,
        gates: { members: 1, samples: 5, latency: undefined, refused: { moreBasisPoints: 100 } },
      },
    });
  });

  test("--wait follows it to its end, and ends with 1 and the reason if a gate failed", async () => {
    const states = [
      info(),
      info(),
      info({ state: "rolled-back", endEpoch: 6, endReason: 'failed its gate "refused"' }),
    ];
    admin.answers = { ...admin.answers, activateRevision: begun, getRollout: () => ({ rollout: states.shift() }) };
    const done = await admin.run("activate", "4", "--stages", "1,10%,100%", "--wait", "-o", "json");
    expect(done.code).toBe(1);
    expect(done.error).toMatch(/^ashlar: rollout 2 was rolled back at epoch 6: failed its gate "refused"$/m);
    expect(done.error.match(/^rollout {2}/gm)).toHaveLength(2); // shown where it changed
    expect(JSON.parse(done.out)).toMatchObject({
      revision: 4,
      epoch: 5,
      rollout: { state: "rolled-back", end: { epoch: 6 } },
    });
  });

  test("--wait --timeout ends with 1 and what it waits for, and the rollout goes on", async () => {
    admin.answers = { ...admin.answers, activateRevision: begun, getRollout: { rollout: info() } };
    const done = await admin.run("activate", "4", "--stages", "1,10%,100%", "--wait", "--timeout", "50ms");
    expect(done.code).toBe(1);
    expect(done.error).toMatch(
      /rollout 2 is at stage 1 of 3 after 0.05 s and goes on by itself; it waits for the hold/,
    );
  });
});

describe("apply", () => {
  const published = { created: true, revision: revisionInfo(4), findings: [] };

  test("activates only over the epoch that it saw after publishing", async () => {
    const activated = { activation: activationInfo(5, 4), created: true };
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: activated };
    expect((await admin.run("apply", "-f", policy)).code).toBe(0);
    expect(asked("activateRevision")).toMatchObject({ revision: 4, expectedEpoch: 4 });
  });

  test.each([
    ["is active", statusInfo({ epoch: 9, revision: 5 })],
    ["is being rolled out", statusInfo({ epoch: 9, rollout: info({ candidate: 5 }) })],
  ])("activates nothing if a newer revision %s by then", async (_name, getStatus) => {
    admin.answers = { getStatus, publishRevision: published, diffRevisions: {} };
    const done = await admin.run("apply", "-f", policy);
    expect([done.code, done.out]).toEqual([1, ""]);
    expect(done.error).toMatch(/somebody else was first: revision 5 is active at epoch 9, and is newer/);
    expect(asked("activateRevision")).toBeUndefined();
  });
});

describe("rollout", () => {
  test("status shows stages, gates and what is waited for, without a control character", async () => {
    admin.answers.getRollout = { rollout: info({ reason: "why\u001b[2J" }) };
    const done = await admin.run("rollout", "status");
    expect(done.out).toBe(
      [
        "rollout    2, running",
        "revision   4 over 3",
        "stages     [1]  10%  100%  (each holds 30 s)",
        "since      2026-01-02T03:04:05.000Z",
        "members    1",
        "gates      samples holds: 3 calls judged by members, 9 to compare with, 20 of each asked for",
        "waits for  the hold of 30 s to end",
        "           samples: 3 calls judged by members",
        "begun by   spiffe://test/operator/admin: why [2J",
        "",
      ].join("\n"),
    );
    expect(asked("getRollout")).toMatchObject({ number: 0 });
  });

  test("list, pause, resume and abort ask for what they say", async () => {
    const activation = activationInfo(7, 3);
    admin.answers = { ...admin.answers, listRollouts: { rollouts: [info()] } };
    Object.assign(admin.answers, {
      pauseRollout: { activation },
      resumeRollout: { activation },
      abortRollout: { activation },
      advanceRollout: { activation },
    });
    expect((await admin.run("rollout", "list")).out).toContain("running  4         3     1 of 3");
    expect((await admin.run("rollout", "pause", "2", "-m", "lunch")).out).toBe("The rollout is paused at epoch 7.\n");
    expect(asked("pauseRollout")).toMatchObject({ number: 2, reason: "lunch" });
    expect((await admin.run("rollout", "resume")).out).toBe("The rollout is resumed at epoch 7.\n");
    expect((await admin.run("rollout", "advance", "-m", "quiet")).out).toBe(
      "The rollout is at its next stage at epoch 7.\n",
    );
    expect(asked("advanceRollout")).toMatchObject({ number: 0, reason: "quiet" });
    const ended = await admin.run("rollout", "abort", "-o", "json");
    expect(JSON.parse(ended.out)).toEqual({ epoch: 7, revision: 3 });
    admin.answers.pauseRollout = () => {
      throw new AshlarError("stale", "no rollout runs");
    };
    expect(await admin.run("rollout", "pause")).toEqual({ code: 1, out: "", error: "ashlar: no rollout runs\n" });
  });

  test("mesh status says that one runs", async () => {
    admin.answers = { getStatus: statusInfo({ rollout: info() }), listProxies: { proxies: [] } };
    expect((await admin.run("status")).out).toMatch(
      /^rollout +2: revision 4 over 3, running, stage 1 of 3 \(1\); waits for/m,
    );
    expect(JSON.parse((await admin.run("status", "-o", "json")).out)).toMatchObject({
      rollout: { number: 2, stage: 1 },
    });
  });
});

test("on a terminal, progress takes the place of what was shown before; elsewhere it is printed where it changed", () => {
  for (const [terminalColumns, expected] of [
    [5, "a\nlong\n\u001b[2A\u001b[Jc\n"],
    [undefined, "a\nlonger\nc\n"],
  ] as const) {
    let written = "";
    const progress = createProgress({
      terminalColumns,
      writeError: (text) => {
        written += text;
      },
    });
    for (const text of ["a\nlonger", "a\nlonger", "c"]) progress(text);
    expect(written).toBe(expected);
  }
});
