/**
 * Imports an export into a journal that is not there: messages get their sequences, and count only once all of them
 * verify as they are stored. Until then the stream may be purged, which no journal may be: so it is none, for policy,
 * for seals and for people. Nor does it acknowledge anything, so that a proxy that has not heard of it yet loses no
 * write that its caller was told of.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { ImportTimes } from "../../core/journal/import-times.js";
import { type JournalMessage, JournalVerifier } from "../../core/journal/journal-verifier.js";
import { importedHeader, importedMs } from "../../core/wire/journal/imported.js";
import { statementHeader } from "../../core/wire/statement.js";
import { journalStream } from "../../core/wire/subjects.js";
import type { Bus, StoredMessage, StreamSpec } from "../../runtime/bus.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { Ledger } from "../store/ledger.js";
import { type ImportPageDeps, permissionsFor, refusal } from "./import-page.js";
import { closedSpec, isOpen, reopen } from "./journal-retainer.js";
import { readJournal, sealedOf } from "./journal-sealer.js";
import { isImporting } from "./journal-streams.js";
import { everyKey } from "./seal-journals.js";

/** What an import needs of the rest of a control plane. */
export interface JournalImporting {
  /** Returns whether the policy in force names a Journal of this service, so that its proxies append to it. */
  isNamed(service: string): Promise<boolean>;
  /** Returns the configuration of a new journal. */
  specOf(service: string, rememberMs: number): Promise<StreamSpec>;
}

export interface JournalImporterDeps extends JournalImporting, ImportPageDeps {
  readonly rootPublicKey: Uint8Array;
  readonly reader: Pick<StatementReader, "readJournal">;
  readonly ledger: Pick<Ledger, "trust">;
}

export interface ImportOf {
  readonly service: string;
  readonly mesh: string;
  readonly rootPublicKey: Uint8Array;
  readonly first: number;
  readonly rememberMs: number;
}

/**
 * Creates the stream for an import. Fails with `stale` if there is a journal with messages, or if proxies append to it.
 */
export async function beginImport(deps: JournalImporterDeps, of: ImportOf, signal: AbortSignal): Promise<void> {
  const { service, first } = of;
  if (of.mesh !== deps.mesh || digestOf(of.rootPublicKey) !== digestOf(deps.rootPublicKey))
    throw new AshlarError(
      "stale",
      `the export is of mesh ${of.mesh} with root hash ${digestOf(of.rootPublicKey)}, and this is mesh ${deps.mesh} with ` +
        `${digestOf(deps.rootPublicKey)}: its records count nowhere else; replay it there (\`ashlar journal replay\`)`,
    );
  if (await deps.isNamed(service))
    throw new AshlarError(
      "stale",
      `policy in force names a Journal of ${service}, so its proxies append to it: take it out of the policy, and keep callers from ` +
        "writing meanwhile; import; then apply it again",
    );
  const spec = { ...(await deps.specOf(service, of.rememberMs)), denyPurge: false };
  const closed = closedSpec(spec); // no proxy appends to it before it has stopped acknowledging
  await deps.access.once(permissionsFor(service), signal, async (bus) => {
    await removeEmpty(bus, service);
    await bus.createStream(closed, first).catch((error: unknown) => {
      if (spec.replicas === 1 || !isAshlarError(error, "unavailable")) throw error;
      return bus.createStream({ ...closed, replicas: 1 }, first); // NATS cannot hold more
    });
    const info = await bus.streamInfo(journalStream(service));
    if (info?.lastSequence !== first - 1)
      throw new AshlarError("internal", `stream ${spec.name} does not begin at sequence ${first}`);
    await bus.updateStream({ ...info.spec, subjects: spec.subjects, noAck: true });
  });
}

/** Removes what an interrupted import left, or a journal without messages. */
async function removeEmpty(bus: Bus, service: string): Promise<void> {
  const name = journalStream(service);
  const found = await bus.streamInfo(name);
  if (found === undefined) return;
  if (isImporting(found)) return bus.deleteStream(name);
  if (found.lastSequence === 0) {
    await bus.updateStream(closedSpec(found.spec)); // from now on nobody appends
    const now = await bus.streamInfo(name);
    if (now?.lastSequence === 0 && !isOpen(now.spec)) return bus.deleteStream(name);
    await reopen(bus, found.spec);
  }
  throw new AshlarError(
    "stale",
    `the journal of ${service} is not empty: sequences ${found.firstSequence} to ${found.lastSequence} are there; an archive of it is ` +
      "verified as a file (`ashlar journal verify FILE`)",
  );
}

/** Removes what was imported so far. Does nothing if no import is under way. */
export async function giveUpImport(deps: JournalImporterDeps, service: string, signal: AbortSignal): Promise<void> {
  const info = await deps.access.bus.streamInfo(journalStream(service));
  if (info === undefined || !isImporting(info)) return;
  await deps.access.once(permissionsFor(service), signal, (bus) => bus.deleteStream(journalStream(service)));
}

export interface ImportEnd {
  readonly service: string;
  readonly end: Uint8Array;
  /** The record of what was removed; empty: nothing was. */
  readonly letGo: Uint8Array;
}

/**
 * Verifies the import, and yields how many messages were verified so far. Fails with `invalid_argument` if they do not
 * verify, after removing them, and with `stale` if the stream is not the one that was verified.
 */
export async function* finishImport(
  deps: JournalImporterDeps,
  { service, end, letGo }: ImportEnd,
  signal: AbortSignal,
): AsyncGenerator<{ readonly messages: number; readonly entries: number; readonly done: boolean }> {
  const { mesh, access, ledger } = deps;
  const name = journalStream(service);
  const info = await access.bus.streamInfo(name);
  if (info === undefined || !isImporting(info))
    throw new AshlarError("stale", `no import of the journal of ${service} is under way: begin it again`);
  try {
    const keys = everyKey(ledger.trust);
    const times = new ImportTimes({ mesh, keys });
    const writerOf = (message: JournalMessage) =>
      deps.reader.readJournal(service, asRead(message), message.storedMs).writer;
    const verifier = new JournalVerifier({
      service,
      mesh,
      keys,
      writerOf,
      letGo: letGo.length > 0 ? letGo : undefined,
    });
    let messages = 0;
    for await (const stored of readJournal(access.bus, service, info.firstSequence, info.lastSequence, signal)) {
      const message = firstStored(stored, service, { mesh, keys });
      verifier.add(message);
      times.add(message);
      messages += 1;
      if (messages % 1000 === 0) {
        yield { messages, entries: 0, done: false };
        await nextTurn();
      }
    }
    if (signal.aborted) throw new AshlarError("unavailable", "the call was cancelled: finish the import again");
    times.end(end);
    const verdict = verifier.finish(end);
    const [fault] = [...times.faults, ...verdict.faults];
    if (fault !== undefined) throw refusal(service, fault.sequence, fault.why);
    await access.once(permissionsFor(service), signal, async (bus) => {
      await bus.updateStream(closedSpec(info.spec)); // nothing comes between this look and the end
      const now = await bus.streamInfo(name);
      if (now?.created !== info.created || now.lastSequence !== info.lastSequence || isOpen(now.spec))
        throw new AshlarError(
          "stale",
          `the journal of ${service} changed while it was verified: somebody else imports it, or a proxy appends to it; begin it again`,
        );
      await reopen(bus, { ...info.spec, denyPurge: true, noAck: false });
    });
    yield { messages, entries: verdict.entries, done: true };
  } catch (error) {
    if (isAshlarError(error) && error.code !== "unavailable" && error.code !== "stale")
      await giveUpImport(deps, service, signal);
    throw error;
  }
}

/** Returns the message with the time at which it was first stored. Fails as `importedMs` does. */
function firstStored(stored: StoredMessage, service: string, trust: Parameters<typeof importedMs>[3]): JournalMessage {
  const message = sealedOf(stored);
  const imported = stored.header(importedHeader);
  return imported === undefined ? message : { ...message, storedMs: importedMs(imported, service, message, trust) };
}

/** Returns the same, with the broker's time if no control plane signed another one. */
export function storedOrFirst(...of: Parameters<typeof firstStored>): JournalMessage {
  try {
    return firstStored(...of);
  } catch (error) {
    if (!isAshlarError(error) || error.code === "internal") throw error;
    return sealedOf(of[0]);
  }
}

const asRead = ({ data, statement }: JournalMessage) => ({
  data,
  header: (field: string): string | undefined =>
    field === statementHeader && statement !== "" ? statement : undefined,
});
