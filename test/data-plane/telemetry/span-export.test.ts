/** A receiver of traces that hangs, refuses, throws, or comes back: what a proxy holds for it, counts and says. */
import { expect, test } from "@jest/globals";
import type { ExportedSpan } from "../../../data-plane/telemetry/span.js";
import { SpanExport, type SpanExporter } from "../../../data-plane/telemetry/span-export.js";
import { type Logger, silentLogger } from "../../../runtime/log.js";
import { ManualClock, settle } from "../../support/manual-clock.js";

type Done = Parameters<SpanExporter["export"]>[1];

/** `answer` is called for each batch; one that does nothing hangs. */
function world(answer: (done: Done) => void, shutdown = async () => {}) {
  const clock = new ManualClock();
  const batches: number[] = [];
  const warnings: unknown[] = [];
  const exporter: SpanExporter = {
    export: (spans, done) => {
      batches.push(spans.length);
      answer(done);
    },
    shutdown,
  };
  const log: Logger = { ...silentLogger, warn: (...said: unknown[]) => void warnings.push(said) };
  const sending = new SpanExport({ exporter, clock, log, url: "http://127.0.0.1:9" });
  const offer = (count: number) => {
    for (let each = 0; each < count; each++) sending.offer({} as ExportedSpan);
  };
  return { clock, batches, warnings, sending, offer };
}

test("one that hangs holds one batch, the queue is bounded, and what finds no room is counted", async () => {
  const { clock, batches, warnings, sending, offer } = world(() => {});
  offer(10_000);
  expect(sending.totals).toEqual({ exported: 0, failed: 0, dropped: 10_000 - 4096 });
  await clock.advance(9000);
  expect(batches).toEqual([512]);
  await clock.advance(3000);
  expect(batches).toEqual([512, 512]);
  expect(sending.totals.failed).toBe(512);
  expect(warnings).toHaveLength(1);
  offer(10_000);
  expect(sending.totals.dropped).toBe(10_000 - 4096 + 10_000 - 1024);
});

test("one that hangs keeps no proxy from ending", async () => {
  const { clock, sending, offer } = world(
    () => {},
    () => new Promise(() => {}),
  );
  offer(1);
  let isClosed = false;
  void sending.close().then(() => {
    isClosed = true;
  });
  await settle();
  expect(isClosed).toBe(false);
  await clock.advance(15_000);
  expect(isClosed).toBe(true);
});

for (const [name, answer] of [
  ["refuses", (done: Done) => done({ code: 1, error: new Error("connect ECONNREFUSED") })],
  [
    "makes the exporter throw",
    () => {
      throw new Error("no");
    },
  ],
] as const)
  test(`one that ${name} is said once a minute, and its spans count as failed`, async () => {
    const { clock, warnings, sending, offer } = world(answer);
    for (let second = 0; second < 70; second++) {
      offer(1);
      await clock.advance(1000);
    }
    expect(sending.totals).toEqual({ exported: 0, failed: 70, dropped: 0 });
    expect(warnings).toHaveLength(2);
    await sending.close();
  });

test("one that comes back gets what came since", async () => {
  let isThere = false;
  const { clock, sending, offer } = world((done) => done({ code: isThere ? 0 : 1 }));
  offer(3);
  await clock.advance(1000);
  isThere = true;
  offer(600);
  await clock.advance(1000);
  expect(sending.totals).toEqual({ exported: 600, failed: 3, dropped: 0 });
  await sending.close();
});
