/** Finds the journals that a policy names. */
import { isAshlarError } from "../../core/errors.js";
import { defaultRememberKeysMs } from "../../core/kinds/journal/journal.js";
import type { Revision, Signed } from "../../core/model.js";
import type { Snapshot } from "../../core/snapshot/build.js";
import type { SnapshotStore } from "../publish/snapshot-store.js";
import type { JournalKeeper } from "./journal-keeper.js";
import type { WantedJournal } from "./journal-streams.js";

export function wantedJournals({ units }: Pick<Snapshot, "units">): readonly WantedJournal[] {
  return units.flatMap(({ unit }) =>
    unit.journals.map(({ service, idempotencyKey, rememberKeysMs, private: hidden }) => ({
      service,
      hasPrivate: hidden !== undefined,
      ...(hidden?.undescribed !== undefined && { undescribed: hidden.undescribed }),
      rememberMs: idempotencyKey === undefined ? 0 : (rememberKeysMs ?? defaultRememberKeysMs),
    })),
  );
}

export interface JournalPreparer {
  /** Resolves when the streams of the snapshot's journals exist. Fails with `unavailable`. */
  forSnapshot(snapshot: Snapshot): Promise<void>;
  /** Does the same for a revision. A revision with lost parts is skipped, because no proxy can prepare it. */
  forRevision(revision: Signed<Revision>): Promise<void>;
}

export function createJournalPreparer(
  keeper: Pick<JournalKeeper, "prepare">,
  snapshots: Pick<SnapshotStore, "load">,
  signal: AbortSignal,
): JournalPreparer {
  const forSnapshot = (snapshot: Pick<Snapshot, "units">) => keeper.prepare(wantedJournals(snapshot), signal);
  return {
    forSnapshot,
    async forRevision({ body }) {
      const snapshot = await snapshots.load(body.snapshot).catch((error: unknown) => {
        if (isAshlarError(error, "stale")) return undefined;
        throw error;
      });
      if (snapshot !== undefined) await forSnapshot(snapshot);
    },
  };
}
