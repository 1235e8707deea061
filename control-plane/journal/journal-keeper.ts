/** Prepares the journals that a policy names, and gives them what the disk has room for. */
import { isDeepStrictEqual } from "node:util";
import { AshlarError, messageOf } from "../../core/errors.js";
import { journalStream } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";
import type { Logger } from "../../runtime/log.js";
import { clusterJournalBytes, keysBytesMax } from "../../runtime/nats-account-setup.js";
import { journalPermissions } from "../../runtime/nats-permissions.js";
import { lowBytes, renderBytes } from "../nats/disk-room.js";
import type { NatsAccess } from "../nats/nats-access.js";
import { findJournals, keyStreamUses, useOf } from "./find-journals.js";
import { isOpen } from "./journal-retainer.js";
import { fitJournals, isJournalOff, journalBytesMin, promisedBytes } from "./journal-room.js";
import {
  ensureJournal,
  isImporting,
  journalSpec,
  journalsNotReady,
  missingJournals,
  type WantedJournal,
} from "./journal-streams.js";

export interface JournalKeeperDeps {
  readonly access: Pick<NatsAccess, "bus" | "once">;
  readonly log: Logger;
  /** Returns the bytes that are free on the disk of Ashlar's own server; undefined: NATS is a cluster. */
  readonly freeBytes?: (() => Promise<number>) | undefined;
  /** The value of `--journal-bytes`. */
  readonly journalBytes?: number | undefined;
}

export interface JournalKeeper {
  /** Returns the configuration of a new journal for an import. Fails with `limit` if the disk has no room for it. */
  specOf(service: string, rememberMs: number): Promise<StreamSpec>;
  /**
   * Creates the missing streams of these journals, with a credential for that alone. Resolves when all exist. Fails
   * with `unavailable` and says what to do; policy that names them must then not be published or activated.
   */
  prepare(wanted: readonly WantedJournal[], signal: AbortSignal): Promise<void>;
  /** Adapts the bounds of journals on Ashlar's own server to its disk. Does nothing on a cluster. */
  fit(signal: AbortSignal): Promise<void>;
}

/** The bytes of a journal: on Ashlar's own server the most, where the disk has room; on a cluster always. */
const journalBytesDefault = { own: 8 * 1024 ** 3, cluster: clusterJournalBytes } as const;
const replicasMax = 3;

export function createJournalKeeper(deps: JournalKeeperDeps): JournalKeeper {
  const { access, log } = deps;
  return {
    async specOf(service, rememberMs) {
      const wanted = { service, rememberMs };
      const maxBytes = (await boundsFor(deps, [wanted])).get(service) ?? journalBytesMin;
      return journalSpec(wanted, { maxBytes, replicas: deps.freeBytes === undefined ? replicasMax : 1 });
    },
    async prepare(wanted, signal) {
      if (wanted.length === 0) return;
      const missing = await missingJournals(access.bus, wanted).catch((error: unknown) => {
        throw journalsNotReady(wanted, error);
      });
      if (missing.length === 0) return;
      try {
        const bounds = await boundsFor(deps, missing);
        const permissions = (inbox: string) =>
          journalPermissions(
            missing.map(({ service }) => service),
            inbox,
          );
        await access.once(permissions, signal, async (bus) => {
          for (const one of missing) await create(bus, one, bounds.get(one.service) ?? journalBytesMin, deps);
        });
        for (const { service } of missing) log.info("the journal of a service is ready", { service });
      } catch (error) {
        throw journalsNotReady(missing, error);
      }
    },
    async fit(signal) {
      const { freeBytes, journalBytes = journalBytesDefault.own } = deps;
      if (freeBytes === undefined || !access.bus.connected) return;
      const found = await findJournals(access.bus);
      if (found.length === 0) return;
      const uses = found.map(useOf);
      const specs = new Map(found.map(({ service, info }) => [service, info.spec]));
      const keys = promisedBytes(await keyStreamUses(access.bus));
      const fitting = fitJournals((await freeBytes()) - keys, uses, journalBytes);
      const off = uses.filter(({ service, boundBytes }) =>
        isJournalOff(boundBytes, fitting.get(service) ?? boundBytes),
      );
      if (off.length === 0) return;
      const permissions = (inbox: string) =>
        journalPermissions(
          off.map(({ service }) => service),
          inbox,
        );
      const fitted: string[] = [];
      await access.once(permissions, signal, async (bus) => {
        for (const { service } of off) {
          const [seen, now] = [specs.get(service), await bus.streamInfo(journalStream(service))];
          const maxBytes = fitting.get(service);
          if (now === undefined || maxBytes === undefined || !isAtRest(seen, now)) continue; // the next look is soon
          await bus.updateStream({ ...now.spec, maxBytes });
          fitted.push(service);
        }
      });
      if (fitted.length === 0) return;
      log.info("journals are bounded by what the disk has room for", Object.fromEntries(fitting));
    },
  };
}

/**
 * Returns whether nobody else is changing a journal's configuration, as far as two looks tell: NATS takes the whole of it and
 * compares nothing, so what another control plane closes, imports or lengthens meanwhile would be undone.
 */
function isAtRest(seen: StreamSpec | undefined, now: StreamInfo): boolean {
  return isOpen(now.spec) && !isImporting(now) && isDeepStrictEqual(seen, now.spec);
}

/** Returns what new journals may store. Fails with `limit` if a disk has no room for them. */
async function boundsFor(
  { access, freeBytes, journalBytes }: JournalKeeperDeps,
  missing: readonly WantedJournal[],
): Promise<ReadonlyMap<string, number>> {
  if (freeBytes === undefined)
    return new Map(missing.map(({ service }) => [service, journalBytes ?? journalBytesDefault.cluster]));
  const uses = (await findJournals(access.bus)).map(useOf);
  const there = new Set(uses.map(({ service }) => service));
  const created = missing.filter(({ service }) => !there.has(service));
  const keyUses = await keyStreamUses(access.bus);
  const madeKeys = missing.filter(
    (one) => one.hasPrivate === true && !keyUses.some(({ service }) => service === one.service),
  );
  const newKeys = madeKeys.map(({ service }) => ({ service, storedBytes: 0, boundBytes: keysBytesMax }));
  const free = await freeBytes();
  const needed = lowBytes + created.length * journalBytesMin;
  if (created.length > 0 && free < needed)
    throw new AshlarError(
      "limit",
      `the disk of NATS has ${renderBytes(free)} free, and ${created.length} new journals need ${renderBytes(needed)}: make room there`,
    );
  const added = created.map(({ service }) => ({ service, storedBytes: 0, boundBytes: 0 }));
  return fitJournals(
    free - promisedBytes([...keyUses, ...newKeys]),
    [...uses, ...added],
    journalBytes ?? journalBytesDefault.own,
  );
}

async function create(bus: Bus, wanted: WantedJournal, maxBytes: number, deps: JournalKeeperDeps): Promise<void> {
  if (deps.freeBytes !== undefined) return ensureJournal(bus, wanted, { maxBytes, replicas: 1 });
  try {
    await ensureJournal(bus, wanted, { maxBytes, replicas: replicasMax });
  } catch (error) {
    if (!(error instanceof AshlarError) || error.code !== "unavailable" || !bus.connected) throw error;
    try {
      await ensureJournal(bus, wanted, { maxBytes, replicas: 1 });
    } catch {
      throw error;
    }
    const why = messageOf(error);
    deps.log.warn("NATS cannot hold three replicas: a journal has one", { service: wanted.service, why });
  }
}
