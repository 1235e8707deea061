/** Measures how long each live proxy takes from the publication of a revision until it holds it compiled. */
import type { Digest } from "../../core/digest.js";
import type { Revision } from "../../core/model.js";
import type { FleetView } from "../fleet/fleet-loop.js";
import type { RecordLog } from "../store/ledger.js";

export interface PrepareTimesDeps {
  readonly revisions: Pick<RecordLog<Revision>, "onRecord" | "head">;
  readonly fleet: Pick<FleetView, "live" | "onChange">;
  readonly monotonicMs: () => number;
  /** Called when a proxy reports that it holds a revision, with the milliseconds since its publication. */
  readonly prepared: (tookMs: number) => void;
}

/** The most revisions that are measured at once; a proxy reports at most 16 that it holds. */
const revisionsMax = 16;

/** Follows the fleet; returns a function that ends it. */
export function followPrepareTimes({ revisions, fleet, monotonicMs, prepared }: PrepareTimesDeps): () => void {
  const open = new Map<Digest, { readonly atMs: number; readonly waiting: Set<string> }>();
  const stops = [
    revisions.onRecord(() => {
      const digest = revisions.head()?.digest;
      if (digest === undefined || open.has(digest)) return;
      open.set(digest, {
        atMs: monotonicMs(),
        waiting: new Set(fleet.live().map(({ heartbeat }) => heartbeat.proxyId)),
      });
      const [oldest] = open.keys();
      if (open.size > revisionsMax && oldest !== undefined) open.delete(oldest);
    }),
    fleet.onChange((entry) => {
      for (const { digest } of entry?.heartbeat.prepared ?? []) {
        const one = open.get(digest);
        if (one?.waiting.delete(entry?.heartbeat.proxyId ?? "") !== true) continue;
        prepared(monotonicMs() - one.atMs);
        if (one.waiting.size === 0) open.delete(digest);
      }
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
