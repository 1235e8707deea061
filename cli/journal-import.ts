/** Sends an exported journal to the control plane, page by page, after verifying it. */
import { auditKeys } from "../core/audit/audit-file.js";
import type { Digest } from "../core/digest.js";
import { AshlarError } from "../core/errors.js";
import type { JournalTrust } from "../core/journal/journal-file.js";
import { entryMessageId, isMessagesKey, keyIdOf } from "../core/journal/journal-key.js";
import type { JournalMessage } from "../core/journal/journal-verifier.js";
import { parseEntry } from "../core/wire/journal/entry.js";
import { verifyLetGo } from "../core/wire/journal/let-go.js";
import { parseJournalSubject } from "../core/wire/subjects.js";
import type { AdminClient } from "./client.js";
import { readJournalFile, verifyJournalFile } from "./journal-log.js";

export interface JournalImport {
  readonly path: string;
  readonly rootHash: Digest;
  readonly rememberMs: number;
  readonly reason: string;
}

export interface ImportedJournal {
  readonly service: string;
  readonly messages: number;
  readonly entries: number;
  readonly first: number;
  readonly last: number;
}

type Admin = Pick<AdminClient, "importJournal" | "finishJournalImport">;

/** What is known about the file after one complete reading. */
interface Plan {
  readonly trust: JournalTrust;
  readonly first: number;
  readonly last: number;
  /** The sequences of the entries whose idempotency keys must be remembered: for each key the last entry. */
  readonly remembered: ReadonlySet<number>;
}

const pageMessages = 500;
const pageBytes = 2 * 1024 * 1024;

/**
 * Imports a file. Fails with `invalid_record` and the first fault if the file does not verify, and with the errors of
 * the control plane; what was imported is then removed again.
 */
export async function importJournal(
  admin: Admin,
  what: JournalImport,
  progress: (text: string) => void,
): Promise<ImportedJournal> {
  const { path, rememberMs, reason } = what;
  progress(`verifying ${path}`);
  const { faults } = await verifyJournalFile(path, what.rootHash);
  const [fault] = faults;
  if (fault !== undefined)
    throw new AshlarError(
      "invalid_record",
      `${path}: sequence ${fault.sequence}: ${fault.why}; nothing was imported: \`ashlar journal verify ${path}\` names all that is wrong`,
    );
  const plan = await planOf(what);
  const { service, mesh, rootPublicKey, end, letGo } = plan.trust;
  const { first, last } = plan;
  const begin = { mesh, rootPublicKey: Buffer.from(rootPublicKey), first, rememberMs, reason };
  await admin.importJournal({ service, part: { $case: "begin", value: begin } });
  try {
    let messages = 0;
    for await (const page of pagesOf(path, plan)) {
      await admin.importJournal({ service, part: { $case: "page", value: page } });
      messages += page.messages.length;
      progress(`${messages} messages of ${last - first + 1}`);
    }
    const request = { service, end: Buffer.from(end), letGo: Buffer.from(letGo), reason };
    for await (const told of admin.finishJournalImport(request)) {
      progress(`${told.messages} messages verified`);
      if (told.done) return { service, messages: told.messages, entries: told.entries, first, last };
    }
    throw new AshlarError("internal", "the control plane did not say that it is done");
  } catch (error) {
    await admin.importJournal({ service, part: { $case: "giveUp", value: {} } }).catch(() => {});
    throw error;
  }
}

async function planOf({ path, rootHash, rememberMs }: JournalImport): Promise<Plan> {
  let trust: JournalTrust | undefined;
  let [through, first, last, lastMs] = [0, 0, 0, 0];
  const ids = new Map<string, { readonly sequence: number; readonly storedMs: number }>();
  for await (const part of readJournalFile(path)) {
    if (!("sequence" in part)) {
      trust = part;
      const keys = auditKeys(part, rootHash);
      through = part.letGo.length === 0 ? 0 : verifyLetGo(part.letGo, part.mesh, keys).body.through;
      continue;
    }
    const { sequence, storedMs } = part;
    if (sequence <= through) continue; // it was removed from the journal and came back
    if (first === 0) first = sequence;
    [last, lastMs] = [sequence, Math.max(lastMs, storedMs)];
    const id = messageIdOf(part);
    if (id !== undefined) ids.set(id, { sequence, storedMs });
  }
  if (trust === undefined || first === 0)
    throw new AshlarError("invalid_argument", `${path}: the export has no messages: there is nothing to import`);
  const young = [...ids.values()].filter(({ storedMs }) => storedMs > lastMs - rememberMs);
  return { trust, first, last, remembered: new Set(young.map(({ sequence }) => sequence)) };
}

/** Returns the message id of an entry with an idempotency key, or undefined if it has none. */
function messageIdOf({ subject, data }: JournalMessage): string | undefined {
  const place = parseJournalSubject(subject);
  if (place?.kind !== "entry" || isMessagesKey(place.key)) return undefined;
  const entry = parseEntry(data, undefined, place.key);
  return entry.key === "" ? undefined : entryMessageId(keyIdOf(entry), entry.afterVoid);
}

async function* pagesOf(path: string, { first, remembered }: Plan) {
  let messages: (Omit<JournalMessage, "data"> & { readonly data: Buffer })[] = [];
  let bytes = 0;
  const page = () => {
    const full = {
      messages,
      remembered: messages.map(({ sequence }) => sequence).filter((one) => remembered.has(one)),
    };
    [messages, bytes] = [[], 0];
    return full;
  };
  for await (const part of readJournalFile(path)) {
    if (!("sequence" in part) || part.sequence < first) continue;
    messages.push({ ...part, data: Buffer.from(part.data) });
    bytes += part.data.length + part.statement.length;
    if (messages.length === pageMessages || bytes >= pageBytes) yield page();
  }
  if (messages.length > 0) yield page();
}
