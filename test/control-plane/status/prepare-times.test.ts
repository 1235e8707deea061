import { expect, test } from "@jest/globals";
import type { FleetEntry } from "../../../control-plane/fleet/fleet-state.js";
import { followPrepareTimes } from "../../../control-plane/status/prepare-times.js";
import type { Digest } from "../../../core/digest.js";

const digest = "a".repeat(64) as Digest;
const entry = (proxyId: string, holds: boolean): FleetEntry =>
  ({ heartbeat: { proxyId, prepared: holds ? [{ number: 1, digest }] : [] } }) as unknown as FleetEntry;

test("each proxy that was there counts once, from the publishing until it says that it holds the revision", () => {
  const took: number[] = [];
  let [nowMs, published] = [0, () => {}];
  let changed: (entry: FleetEntry | undefined) => void = () => {};
  const stop = followPrepareTimes({
    revisions: {
      head: () => ({ digest }) as never,
      onRecord: (listener) => {
        published = listener as () => void;
        return () => {};
      },
    },
    fleet: {
      live: () => [entry("p1", false), entry("p2", false)],
      onChange: (listener) => {
        changed = listener;
        return () => {};
      },
    },
    monotonicMs: () => nowMs,
    prepared: (ms) => took.push(ms),
  });
  published();
  nowMs = 40;
  changed(entry("p1", true));
  changed(entry("p1", true));
  changed(undefined);
  changed(entry("late", true));
  nowMs = 900;
  changed(entry("p2", false));
  changed(entry("p2", true));
  expect(took).toEqual([40, 900]);
  stop();
});
