/** Stores the messages of an import in a stream without acknowledgements, and then checks that they are there. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { entryMessageId, isMessagesKey, keyIdOf } from "../../core/journal/journal-key.js";
import type { JournalMessage } from "../../core/journal/journal-verifier.js";
import type { Signer } from "../../core/signature.js";
import { parseEntry } from "../../core/wire/journal/entry.js";
import { importedHeader, signImported } from "../../core/wire/journal/imported.js";
import { statementHeader } from "../../core/wire/statement.js";
import { journalStream, parseJournalSubject } from "../../core/wire/subjects.js";
import { importPermissions } from "../../runtime/nats-permissions.js";
import type { NatsAccess } from "../nats/nats-access.js";
import { readJournal } from "./journal-sealer.js";
import { isImporting } from "./journal-streams.js";

export const permissionsFor = (service: string) => (inbox: string) => importPermissions(service, inbox);

export interface ImportPageDeps {
  readonly mesh: string;
  readonly access: Pick<NatsAccess, "bus" | "once">;
  readonly signer: Signer;
}

/**
 * Stores the next messages. Fails with `invalid_argument` if one is out of order or is no record; nothing after it is
 * stored.
 */
export async function importPage(
  deps: ImportPageDeps,
  service: string,
  messages: readonly JournalMessage[],
  remembered: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const info = await deps.access.bus.streamInfo(journalStream(service));
  if (info === undefined || !isImporting(info))
    throw new AshlarError("stale", `no import of the journal of ${service} is under way: begin it again`);
  const ids = new Set(remembered);
  await deps.access.once(permissionsFor(service), signal, async (bus) => {
    for (const message of messages) {
      const { sequence, subject, data } = message;
      const headers = headersOf(deps, service, message, ids.has(sequence));
      const placed = { ...headers, "Nats-Expected-Last-Sequence": String(sequence - 1) };
      if (!bus.publish(subject, data, placed)) throw new AshlarError("unavailable", "NATS is not there");
    }
    await bus.flush();
  });
  await whenStored(deps, service, messages, signal);
}

export const refusal = (service: string, sequence: number, why: string): AshlarError =>
  new AshlarError("invalid_argument", `the journal of ${service}, sequence ${sequence}: ${why}`);

/**
 * A sent message is stored within this time of the one before, or never, in milliseconds. Such a stream reports no
 * refusal.
 */
const stuckMs = 5000;
const lookMs = 20;

/** Resolves when all of them are stored. Fails with `invalid_argument`, naming the first one that is not. */
async function whenStored(
  { access: { bus } }: ImportPageDeps,
  service: string,
  messages: readonly JournalMessage[],
  signal: AbortSignal,
): Promise<void> {
  const name = journalStream(service);
  const last = messages.at(-1);
  if (last === undefined) return;
  let [through, movedMs] = [0, performance.now()];
  for (;;) {
    const lastSequence = (await bus.streamInfo(name))?.lastSequence ?? 0;
    if (lastSequence !== through) [through, movedMs] = [lastSequence, performance.now()];
    if (through >= last.sequence || performance.now() - movedMs >= stuckMs) break;
    await sleep(lookMs, undefined, { signal }).catch(() => {
      throw new AshlarError("unavailable", "the call was cancelled");
    });
  }
  const found = new Map<number, Digest>();
  const [first = last] = messages;
  for await (const stored of readJournal(bus, service, first.sequence, last.sequence, signal))
    if (stored.header(importedHeader) !== undefined) found.set(stored.sequence, digestOf(stored.data));
  if (signal.aborted) throw new AshlarError("unavailable", "the call was cancelled");
  for (const { sequence, data } of messages) {
    if (found.get(sequence) === digestOf(data)) continue;
    throw refusal(
      service,
      sequence,
      through === sequence - 1
        ? "its key is that of an earlier entry, or NATS has not stored it for five seconds"
        : "it does not come next, or somebody else appends to this journal",
    );
  }
}

function headersOf(
  deps: ImportPageDeps,
  service: string,
  message: JournalMessage,
  isRemembered: boolean,
): Readonly<Record<string, string>> {
  const { sequence, subject, statement, data } = message;
  const place = parseJournalSubject(subject);
  if (place?.service !== service) throw refusal(service, sequence, "it is of another journal");
  const imported = signImported(service, message, deps.mesh, deps.signer);
  const headers = { [importedHeader]: imported, ...(statement !== "" && { [statementHeader]: statement }) };
  if (!isRemembered || place.kind !== "entry" || isMessagesKey(place.key)) return headers;
  const id = entryIdOf(data, place.key);
  return id === undefined ? headers : { ...headers, "Nats-Msg-Id": id };
}

/**
 * Returns the id by which a repeat of its key finds an entry. undefined: it has none or cannot be parsed, which the
 * final verification reports.
 */
function entryIdOf(data: Uint8Array, key: string): string | undefined {
  try {
    const entry = parseEntry(data, undefined, key);
    return entry.key === "" ? undefined : entryMessageId(keyIdOf(entry), entry.afterVoid);
  } catch (error) {
    if (isAshlarError(error) && error.code !== "internal") return undefined;
    throw error;
  }
}
