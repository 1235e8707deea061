/** The order, the checkpoint and the divergences of a replay, with a target in memory. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readCheckpoint } from "../../cli/journal-replay/checkpoint.js";
import { followReplay } from "../../cli/journal-replay/follow-replay.js";
import { Lanes } from "../../cli/journal-replay/lanes.js";
import type { Answer } from "../../cli/journal-replay/replay-client.js";
import { Replay, type ReplayOptions } from "../../cli/journal-replay/run-replay.js";
import { AshlarError } from "../../core/errors.js";
import type { ReplayedWrite, ReplayJournalResponse } from "../../proto/gen/ashlar/v1/admin.js";
import { ManualClock } from "../support/manual-clock.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "replay-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (position: number, order = "a"): ReplayedWrite => ({
  ...{ sequence: position - 1, position, caller: "", method: "s.S/M", key: "", order, code: 0, resolved: false },
  ...{ fields: [], request: Buffer.alloc(0), response: Buffer.from("yes"), responseKept: true },
  responseDigest: Buffer.alloc(0),
  parts: undefined,
});
const ok: Answer = { code: 0, message: "", response: Buffer.from("yes"), isRefused: false };
const start: ReplayJournalResponse["message"] = {
  $case: "start",
  value: { first: 1, last: 100, targets: [], identity: "" },
};
const summary: ReplayJournalResponse["message"] = {
  $case: "summary",
  value: { entries: 9, applied: 9, void: 0, notApplied: 0, unresolved: 0, unresolvedEntries: [], refused: 0 },
};

async function* messages(writes: readonly ReplayedWrite[]): AsyncGenerator<ReplayJournalResponse> {
  yield { message: start };
  for (const value of writes) yield { message: { $case: "write", value } };
  yield { message: { $case: "position", value: 100 } };
  yield { message: summary };
}

function replay(send: (write: ReplayedWrite) => Promise<Answer>, of: Partial<ReplayOptions> = {}) {
  const path = join(dir, "checkpoint.json");
  const options = { service: "s", target: "v2", checkpoint: { path, from: readCheckpoint(path, "s", "v2") } };
  const how = { isDryRun: false, isWhole: false, goesOn: false, parallel: 4, rate: undefined };
  const clock = new ManualClock();
  return new Replay({ clock, send, progress: () => {} }, { ...options, ...how, ...of });
}

const kept = () => JSON.parse(readFileSync(join(dir, "checkpoint.json"), "utf8")) as { position: number };

test("writes of an order key are sent one after the other, and others beside them", async () => {
  const begun: number[] = [];
  const ends = new Map<number, () => void>();
  const running = replay((one) => {
    begun.push(one.position);
    return new Promise((resolve) => ends.set(one.position, () => resolve(ok)));
  }).run(messages([write(2, "a"), write(4, "a"), write(6, "b")]));
  const settle = async () => {
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  };
  await settle();
  expect(begun).toEqual([2, 6]);
  ends.get(2)?.();
  await settle();
  expect(begun).toEqual([2, 6, 4]);
  for (const position of [4, 6]) ends.get(position)?.();
  expect(await running).toMatchObject({ sent: 3, diverged: 0, position: 100 });
  expect(kept().position).toBe(100);
});

test("a checkpoint is before what is not done, however much behind it is", async () => {
  const lanes = new Lanes(4);
  let end = (): void => {};
  await lanes.add("a", 10, 1, () => new Promise((resolve) => (end = resolve)));
  await lanes.add("b", 12, 1, async () => {});
  lanes.reach(20);
  expect(lanes.done).toBe(9);
  end();
  await lanes.drain();
  expect(lanes.done).toBe(20);
});

test("it stops at a divergence and a later run goes on behind the last write that was done", async () => {
  const sent: number[] = [];
  const at4 = async (one: ReplayedWrite): Promise<Answer> => {
    sent.push(one.position);
    return one.position === 4 ? { ...ok, code: 9, message: "no money" } : ok;
  };
  const writes = [write(2), write(4), write(6)];
  const result = await replay(at4).run(messages(writes));
  expect(result).toMatchObject({ diverged: 1, summary: undefined });
  expect(result.divergences).toEqual([
    { sequence: 3, method: "s.S/M", order: "a", why: "status 9 instead of 0: no money" },
  ]);
  expect(sent).toEqual([2, 4]);
  const again = await replay(at4, { goesOn: true }).run(messages(writes.slice(1)));
  expect(again).toMatchObject({ diverged: 1, position: 100 });
  expect(sent).toEqual([2, 4, 4, 6]);
});

test("a divergence in the response's bytes counts where it is asked for", async () => {
  const other = async (): Promise<Answer> => ({ ...ok, response: Buffer.from("no") });
  expect(await replay(other).run(messages([write(2)]))).toMatchObject({ diverged: 0 });
  rmSync(join(dir, "checkpoint.json"));
  expect(await replay(other, { isWhole: true }).run(messages([write(2)]))).toMatchObject({ diverged: 1 });
});

test("a target that refuses the replay ends it, and a checkpoint of another replay is refused", async () => {
  const refusing = async (): Promise<Answer> => ({ ...ok, code: 7, message: "denied", isRefused: true });
  await expect(replay(refusing).run(messages([write(2)]))).rejects.toMatchObject({ code: "denied" });
  expect(kept().position).toBeLessThan(2);
  const path = join(dir, "checkpoint.json");
  expect(() => readCheckpoint(path, "s", "v3")).toThrow(/is the checkpoint of a replay of s to v2/);
});

test("a dry run sends nothing and keeps no checkpoint", async () => {
  const never = async (): Promise<Answer> => {
    throw new AshlarError("internal", "nothing is sent");
  };
  expect(await replay(never, { isDryRun: true }).run(messages([write(2), write(4)]))).toMatchObject({ sent: 2 });
  expect(readCheckpoint(join(dir, "checkpoint.json"), "s", "v2")).toBeUndefined();
});

test("following goes on behind what is done when the control plane was away, and ends when it is told to", async () => {
  const sent: number[] = [];
  const following = replay(async (one) => {
    sent.push(one.position);
    return ok;
  });
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  const opened: number[] = [];
  const said: string[] = [];
  async function* open(after: number): AsyncGenerator<ReplayJournalResponse> {
    opened.push(after);
    yield { message: start };
    if (opened.length === 1) {
      yield { message: { $case: "write", value: write(2) } };
      yield { message: { $case: "level", value: 3 } };
      throw new AshlarError("unavailable", "the control plane is away");
    }
    yield { message: { $case: "write", value: write(5) } };
    yield { message: { $case: "level", value: 6 } };
    stop();
    await new Promise(() => {});
  }
  const clock = { ...new ManualClock(), monotonicMs: () => 0, sleep: async () => {} } as unknown as ManualClock;
  const result = await followReplay(following, { clock, open, stopped, progress: (text) => said.push(text) });
  expect(result).toMatchObject({ sent: 2, diverged: 0, position: 6, summary: undefined });
  expect([opened, sent, kept().position]).toEqual([[0, 3], [2, 5], 6]);
  expect(said).toEqual([expect.stringMatching(/away/)]);
});

test("a target that is not reached ends the following: the control plane is not asked again for that", async () => {
  const failing = replay(async () => {
    throw new AshlarError("denied", "no");
  });
  const opened: number[] = [];
  async function* open(after: number): AsyncGenerator<ReplayJournalResponse> {
    opened.push(after);
    yield { message: start };
    yield { message: { $case: "write", value: write(2) } };
    yield { message: { $case: "level", value: 3 } };
    throw new AshlarError("unavailable", "the control plane is away");
  }
  const deps = { clock: new ManualClock(), open, stopped: new Promise<void>(() => {}), progress: () => {} };
  await expect(followReplay(failing, deps)).rejects.toMatchObject({ code: "denied" });
  expect(opened).toEqual([0]);
});
