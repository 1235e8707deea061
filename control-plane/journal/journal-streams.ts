/** The streams of journals: one for each service, created with a credential for that alone, and never deleted. */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { idsKnownMsMin } from "../../core/kinds/journal/journal.js";
import { journaledPrefix, journalKeysStream, journalPrefix, journalStream } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";
import { areKeysReady, ensureKeys, type WantedKeys } from "./key-streams.js";
import { specFaults } from "./spec-faults.js";

/** A journal as a policy wants it. */
export interface WantedJournal extends WantedKeys {
  /** The milliseconds for which a repeated idempotency key is recognized; 0: the service's writes have no keys. */
  readonly rememberMs: number;
  /** Writes with private fields that nobody described, so that they are stored in clear; absent: none. */
  readonly undescribed?: readonly string[] | undefined;
}

/** The most bytes of a record with its headers, which is the most that a proxy's user may send. */
const messageBytesMax = (512 + 16) * 1024;

/**
 * Returns the required configuration of a journal's stream: nothing is dropped by age, number or size, and a full
 * stream refuses.
 */
export function journalSpec(
  { service, rememberMs }: WantedJournal,
  { maxBytes, replicas }: { readonly maxBytes: number; readonly replicas: number },
): StreamSpec {
  return {
    name: journalStream(service),
    subjects: [`${journalPrefix(service)}.>`],
    replicas,
    discard: "new",
    discardNewPerSubject: false,
    maxMessagesPerSubject: undefined,
    maxBytes,
    maxMessageBytes: messageBytesMax,
    denyDelete: true,
    denyPurge: true,
    allowDirect: true,
    republish: { from: `${journalPrefix(service)}.>`, to: `${journaledPrefix(service)}.>`, headersOnly: true },
    duplicateWindowMs: Math.max(idsKnownMsMin, rememberMs),
  };
}

/** Returns why a stream must not be used as the journal of `wanted`, in words for people; empty: it may be used. */
function journalFaults(wanted: WantedJournal, found: StreamInfo): readonly string[] {
  const unbounded = found.spec.maxBytes === undefined ? ["it has no bound"] : [];
  return [...specFaults(journalSpec(wanted, { maxBytes: 1, replicas: 1 }), found), ...unbounded];
}

/** Returns whether an import into this journal has not ended: its messages may be purged. */
export const isImporting = ({ spec }: Pick<StreamInfo, "spec">): boolean => !spec.denyPurge;

const windowOf = (spec: StreamSpec): number => spec.duplicateWindowMs ?? idsKnownMsMin;

/** Returns whether the journal of `wanted` can use an existing stream as it is. */
export function isReady(wanted: WantedJournal, found: StreamInfo | undefined): boolean {
  if (found === undefined || journalFaults(wanted, found).length > 0) return false;
  return windowOf(found.spec) >= wanted.rememberMs;
}

/**
 * Creates the journal's stream if it does not exist, and lengthens the time for which its keys are remembered. Needs a
 * credential for that stream (`journalPermissions`) and may be repeated. Fails with `unavailable` if NATS does not
 * answer or cannot store it, and with `invalid_argument` if an existing stream loses or rewrites its messages.
 */
export async function ensureJournal(
  bus: Bus,
  wanted: WantedJournal,
  options: { readonly maxBytes: number; readonly replicas: number },
): Promise<void> {
  const name = journalStream(wanted.service);
  await ensureKeys(bus, wanted, options.replicas);
  const found = await bus.streamInfo(name);
  if (found === undefined) {
    await bus.createStream(journalSpec(wanted, options)).catch((error: unknown) => {
      // another control plane has just created it; it is checked below
      if (!isAshlarError(error, "exists")) throw error;
    });
  } else if (windowOf(found.spec) < wanted.rememberMs && journalFaults(wanted, found).length === 0) {
    await bus.updateStream({ ...found.spec, duplicateWindowMs: wanted.rememberMs });
  }
  const info = await bus.streamInfo(name);
  if (info === undefined) throw new AshlarError("unavailable", `stream ${name} was created and is not there`);
  if (isImporting(info))
    throw new AshlarError(
      "stale",
      `an import of the journal of ${wanted.service} is under way or did not end: run \`ashlar journal import\` again, or with --give-up`,
    );
  const faults = journalFaults(wanted, info);
  if (faults.length > 0)
    throw new AshlarError(
      "invalid_argument",
      `stream ${name} has a configuration that a journal must not have: ${faults.join("; ")}`,
    );
  if (!isReady(wanted, info))
    throw new AshlarError("unavailable", `stream ${name} does not remember keys for ${wanted.rememberMs} ms`);
}

/** Returns the journals that are not ready, using the everyday credential. Fails with `unavailable`. */
export async function missingJournals(
  bus: Pick<Bus, "streamInfo">,
  wanted: readonly WantedJournal[],
): Promise<readonly WantedJournal[]> {
  const missing: WantedJournal[] = [];
  for (const one of wanted) {
    const isThere = isReady(one, await bus.streamInfo(journalStream(one.service)));
    const keys = one.hasPrivate === true ? await bus.streamInfo(journalKeysStream(one.service)) : undefined;
    if (!isThere || !areKeysReady(one, keys)) missing.push(one);
  }
  return missing;
}

/** Returns the error for publishing or activating policy whose journals cannot be prepared. */
export function journalsNotReady(missing: readonly WantedJournal[], cause: unknown): AshlarError {
  const services = missing.map(({ service }) => service).join(", ");
  return new AshlarError(
    "unavailable",
    `the journal of ${services} cannot be made ready, so no write of that service could be recorded: ${messageOf(cause)}; ` +
      "nothing was published or activated; try again when NATS has three servers and room, or take the Journal out of the policy",
    { cause },
  );
}
