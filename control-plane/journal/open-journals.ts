/** Opens everything that a control plane does about journals. */
import { join } from "node:path";
import { revisionInForce, revisionsOf } from "../../core/rollout/cohort.js";
import type { Signer } from "../../core/signature.js";
import { keySetOf } from "../../core/wire/records.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { journalPermissions } from "../../runtime/nats-permissions.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { Cleanup } from "../cleanup.js";
import type { Problem } from "../fleet/problems.js";
import type { OpenedNats } from "../nats/open-nats.js";
import type { SnapshotStore } from "../publish/snapshot-store.js";
import type { Ledger } from "../store/ledger.js";
import type { JournalImporting } from "./journal-importer.js";
import { createJournalKeeper } from "./journal-keeper.js";
import { reopen } from "./journal-retainer.js";
import { JournalSealer, sealLinkOf } from "./journal-sealer.js";
import { watchJournals } from "./journal-watch.js";
import { everyKey, type JournalFigures, sealJournals } from "./seal-journals.js";
import { SealLinks } from "./seal-links.js";
import { openUnresolvedPlaces } from "./unresolved-places.js";
import { UnresolvedWrites } from "./unresolved-writes.js";
import { createJournalPreparer, type JournalPreparer, wantedJournals } from "./wanted-journals.js";

export interface JournalsDeps {
  readonly nats: Pick<OpenedNats, "access" | "freeBytes">;
  readonly mesh: string;
  readonly reader: Pick<StatementReader, "readJournal">;
  readonly folder: { readonly path: string };
  readonly signer: Signer;
  readonly ledger: Ledger;
  readonly snapshots: SnapshotStore;
  readonly journalBytes: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly cleanup: Cleanup;
}

export interface Journals {
  /** Prepares the journals that a policy names before it is published or activated. */
  readonly preparer: JournalPreparer;
  readonly sealer: JournalSealer;
  readonly importing: JournalImporting;
  problems(): readonly Problem[];
  figures(): readonly JournalFigures[];
}

export function openJournals(deps: JournalsDeps): Journals {
  const { mesh, signer, nats, ledger, snapshots, journalBytes, clock, log, signal, cleanup } = deps;
  const { access, freeBytes } = nats;
  const keeper = createJournalKeeper({ access, log, freeBytes, journalBytes });
  const watch = watchJournals({
    bus: access.bus,
    clock,
    fit: () => keeper.fit(signal),
    reopen: ({ service, info }) =>
      access.once(
        (inbox) => journalPermissions([service], inbox),
        signal,
        async (bus) => {
          await reopen(bus, info.spec);
          log.warn("a journal that was closed to let go of its beginning is open again", { service });
        },
      ),
    async wanted() {
      const head = ledger.activations.head();
      if (head === undefined) return [];
      const active = ledger.revisions.find(revisionInForce(head.body).number);
      return active === undefined ? [] : wantedJournals(await snapshots.load(active.body.snapshot));
    },
  });
  cleanup.add(() => watch.close());
  const links = new SealLinks(sealLinkOf);
  const keys = () => everyKey(ledger.trust);
  const sealer = new JournalSealer({ bus: access.bus, mesh, signer, keys, clock, links });
  const unresolved = new UnresolvedWrites({
    ...{ bus: access.bus, mesh, clock, reader: deps.reader, links },
    keys: () => {
      const head = ledger.trust.head();
      return head === undefined ? new Map() : keySetOf(head.body);
    },
    places: openUnresolvedPlaces(join(deps.folder.path, "journals.json"), log),
  });
  const sealing = sealJournals({ bus: access.bus, sealer, unresolved, clock, log });
  cleanup.add(() => sealing.close());
  const preparer = createJournalPreparer(keeper, snapshots, signal);
  const problems = () => [...watch.problems(), ...sealing.problems()];
  const importing: JournalImporting = {
    specOf: keeper.specOf,
    async isNamed(service) {
      const head = ledger.activations.head();
      for (const { number } of head === undefined ? [] : revisionsOf(head.body)) {
        const revision = ledger.revisions.find(number);
        const wanted = revision === undefined ? [] : wantedJournals(await snapshots.load(revision.body.snapshot));
        if (wanted.some((one) => one.service === service)) return true;
      }
      return false;
    },
  };
  return { preparer, sealer, importing, problems, figures: sealing.figures };
}
