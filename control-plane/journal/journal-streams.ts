/** The streams of journals: one a service, created with a credential for that alone, never deleted. */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { idsKnownMsMin } from "../../core/kinds/journal/journal.js";
import { journaledPrefix, journalKeysStream, journalPrefix, journalStream } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";
import { areKeysReady, ensureKeys, type WantedKeys } from "./key-streams.js";
import { specFaults } from "./spec-faults.js";

/** A journal as a policy wants it. */
export interface WantedJournal extends WantedKeys {
  /** For so long a repeat of an idempotency key is known; 0: the service's writes have no keys. */
  readonly rememberMs: number;
}

/** A record and its headers: what a proxy's user may send at most. */
const messageBytesMax = (512 + 16) * 1024;

/** What the stream of a journal must be: nothing goes by age, number or size, and a full one refuses. */
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

/** Why a stream must not be used as the journal of `wanted`, for people; empty: it may. */
function journalFaults(wanted: WantedJournal, found: StreamInfo): readonly string[] {
  const unbounded = found.spec.maxBytes === undefined ? ["it has no bound"] : [];
  return [...specFaults(journalSpec(wanted, { maxBytes: 1, replicas: 1 }), found), ...unbounded];
}

/** A journal whose import did not end: its messages may be purged. */
export const isImporting = ({ spec }: Pick<StreamInfo, "spec">): boolean => !spec.denyPurge;

const windowOf = (spec: StreamSpec): number => spec.duplicateWindowMs ?? idsKnownMsMin;

/** Whether a stream is there that the journal of `wanted` can go on with as it is. */
export function isReady(wanted: WantedJournal, found: StreamInfo | undefined): boolean {
  if (found === undefined || journalFaults(wanted, found).length > 0) return false;
  return windowOf(found.spec) >= wanted.rememberMs;
}

/**
 * Creates the journal's stream if it is not there, and lengthens the time for which its keys are remembered. Needs a
 * credential for that stream (`journalPermissions`); doing it again is harmless. Fails with `unavailable` when NATS does
 * not answer or cannot hold it, and with `invalid_argument` if the stream that is there loses or rewrites what is in it.
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
      if (!isAshlarError(error, "exists")) throw error; // another control plane has just made it: it is checked below
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

/** Looks by the daily credential which of these journals are not ready. Fails with `unavailable`. */
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

/** The failure of publishing or activating policy whose journals cannot be made ready. */
export function journalsNotReady(missing: readonly WantedJournal[], cause: unknown): AshlarError {
  const services = missing.map(({ service }) => service).join(", ");
  return new AshlarError(
    "unavailable",
    `the journal of ${services} cannot be made ready, so no write of that service could be recorded: ${messageOf(cause)}; ` +
      "nothing was published or activated; try again when NATS has three servers and room, or take the Journal out of the policy",
    { cause },
  );
}
