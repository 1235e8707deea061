import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { type DiskWatch, watchDisk } from "../../../control-plane/nats/disk-watch.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";

const mebibyte = 1024 * 1024;
let dir: string;
let clock: ManualClock;
let watch: DiskWatch;
let free: number;
let answers: boolean;
let restarts: number;
let fits: number;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "ash-watch-"));
  writeFileSync(join(dir, "nats.log"), "[INF] Server is ready\n");
  clock = new ManualClock();
  [free, answers, restarts, fits] = [100 * mebibyte, true, 0, 0];
  watch = watchDisk({
    dir,
    logFile: join(dir, "nats.log"),
    clock,
    log: silentLogger,
    bus: {
      connected: true,
      streamInfo: async () => {
        if (!answers) throw new Error("no JetStream answers");
        return undefined;
      },
    },
    freeBytes: async () => free,
    restart: async () => {
      restarts += 1;
      answers = true;
    },
    fitStreams: async () => {
      fits += 1;
    },
  });
  while (clock.sleeping === 0) await new Promise(setImmediate);
});
afterEach(async () => {
  await watch.close();
  rmSync(dir, { recursive: true });
});

/** Files are read in between, which no clock waits for: a look is over when the watch sleeps again. */
async function look(times = 1): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await clock.advance(5000);
    while (clock.sleeping === 0) await new Promise(setImmediate);
  }
}

test("a disk with room: streams are fitted, nothing is told, nothing is started again", async () => {
  await look(20);
  expect([fits > 10, watch.problems(), restarts]).toEqual([true, [], 0]);
});

test("a disk that gets low is told with what is free and where", async () => {
  free = 5 * mebibyte;
  await look();
  expect(watch.problems()).toEqual([expect.stringContaining(`${dir}: 5.0 MiB (5242880 bytes) are free`)]);
});

test("after a full disk the server is started again once there is room, and not before", async () => {
  free = 0;
  await look();
  free = 2 * mebibyte;
  await look(20);
  expect([restarts, watch.problems()]).toEqual([0, [expect.stringMatching(/with 4\.0 MiB .*started again by itself/)]]);
  free = 50 * mebibyte;
  await look();
  expect([restarts, watch.problems()]).toEqual([1, []]);
});

test("a server that says it could not store is started again, however short that was", async () => {
  appendFileSync(
    join(dir, "nats.log"),
    "[ERR] JetStream failed to store a msg: write 8.blk: no space left on device\n",
  );
  await look(3);
  expect([restarts, watch.problems()]).toEqual([1, []]);
});

test("a server that answers nothing is started again, at most once a minute", async () => {
  answers = false;
  await look(2);
  expect(restarts).toBe(0); // it may be busy
  await look(2);
  expect(restarts).toBe(1);
  answers = false;
  await look(6);
  expect(restarts).toBe(1);
  await look(10);
  expect(restarts).toBe(2);
});
