import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ingestSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { startTestNats, type TestNats } from "../support/nats.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
let nats: TestNats;
let plane: Bus;

beforeAll(async () => {
  nats = await startTestNats();
  plane = await nats.connect(await nats.controlPlaneUser());
});
afterAll(async () => {
  await nats.stop();
});

describe("a bus on a real server", () => {
  test("compare-and-set on the stream's sequence lets one of many win", async () => {
    const head = (await plane.streamInfo("ASHLAR_REVISIONS"))?.lastSequence ?? 0;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        plane.append(ingestSubject("revisions", i + 1), bytes(`r${i}`), { expectLastSequence: head }),
      ),
    );
    expect(outcomes.filter((item) => item.status === "fulfilled")).toHaveLength(1);
    for (const item of outcomes)
      if (item.status === "rejected") expect(item.reason).toMatchObject({ code: "conflict" });
  });
});
