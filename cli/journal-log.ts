/** A whole journal: read from the control plane page by page, written to a file, or verified from either. */
import { createReadStream, createWriteStream, renameSync, rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { auditKeys } from "../core/audit/audit-file.js";
import type { Digest } from "../core/digest.js";
import { AshlarError } from "../core/errors.js";
import {
  type JournalTrust,
  journalLineBytesMax,
  parseJournalLine,
  parseJournalTrust,
  renderJournalLine,
  renderJournalTrust,
} from "../core/journal/journal-file.js";
import { type JournalMessage, type JournalVerdict, JournalVerifier } from "../core/journal/journal-verifier.js";
import { rootKeySet, verifyTrust } from "../core/wire/records.js";
import { statementHeader } from "../core/wire/statement.js";
import { systemClock } from "../runtime/clock.js";
import { fileReason } from "../runtime/file-reason.js";
import { StatementReader } from "../runtime/statement-reader.js";
import type { AdminClient, ExportJournalResponse } from "./client.js";

type Admin = Pick<AdminClient, "exportJournal">;

/** Yields the pages of a journal; the first one contains its trust records. */
async function* readPages(admin: Admin, service: string): AsyncGenerator<ExportJournalResponse> {
  let page = await admin.exportJournal({ service, from: 0, through: 0 });
  yield page;
  while (page.next > 0) {
    const from = page.next;
    page = await admin.exportJournal({ service, from, through: page.through });
    if (page.next !== 0 && page.next <= from)
      throw new AshlarError("internal", "the control plane's pages do not go on");
    yield page;
  }
}

/** Returns a verifier for the journal of `trust`. Fails with `unauthenticated` if its root is not the pinned one. */
function verifierOf(trust: JournalTrust, rootHash: Digest): JournalVerifier {
  const { mesh, service, rootPublicKey } = trust;
  const keys = auditKeys(trust, rootHash);
  const last = trust.trust.at(-1);
  const record = last === undefined ? undefined : verifyTrust(last, mesh, rootKeySet(rootPublicKey));
  const reader = new StatementReader({ mesh, trusting: () => record, clock: systemClock });
  const writerOf = ({ data, statement, storedMs }: JournalMessage) => {
    const header = (name: string) => (name === statementHeader && statement !== "" ? statement : undefined);
    return reader.readJournal(service, { data, header }, storedMs).writer;
  };
  const letGo = trust.letGo.length > 0 ? trust.letGo : undefined;
  return new JournalVerifier({ service, mesh, keys, writerOf, letGo });
}

const endOf = ({ end }: JournalTrust, messages: number): Uint8Array | undefined | "empty" =>
  end.length > 0 ? end : messages === 0 ? "empty" : undefined;

/** Verifies the live journal of a service from its first kept message on. */
export async function verifyLiveJournal(admin: Admin, service: string, rootHash: Digest): Promise<JournalVerdict> {
  let verifier: JournalVerifier | undefined;
  let trust: JournalTrust | undefined;
  let messages = 0;
  for await (const page of readPages(admin, service)) {
    trust ??= { ...page, service };
    verifier ??= verifierOf(trust, rootHash);
    for (const message of page.messages) verifier.add(message);
    messages += page.messages.length;
  }
  if (verifier === undefined || trust === undefined)
    throw new AshlarError("internal", "the journal ended without an end");
  return verifier.finish(endOf(trust, messages));
}

/** Writes a journal to `path`, which is replaced only when it is complete. Returns the number of messages. */
export async function exportJournal(admin: Admin, service: string, path: string): Promise<number> {
  const unfinished = `${path}.unfinished`;
  let count = 0;
  async function* lines(): AsyncGenerator<string> {
    let isFirst = true;
    for await (const page of readPages(admin, service)) {
      if (isFirst) yield `${renderJournalTrust({ ...page, service })}\n`;
      isFirst = false;
      for (const message of page.messages) yield `${renderJournalLine(message)}\n`;
      count += page.messages.length;
    }
  }
  try {
    await pipeline(lines, createWriteStream(unfinished, { mode: 0o600, flush: true }));
    renameSync(unfinished, path);
  } catch (cause) {
    rmSync(unfinished, { force: true });
    if (!isFileError(cause)) throw cause;
    throw new AshlarError("invalid_argument", `cannot write ${path}: ${fileReason(cause)}`, { cause });
  }
  return count;
}

const isFileError = (error: unknown): boolean =>
  error instanceof Error && "syscall" in error && typeof error.syscall === "string";

/** Yields the header of an export and then its messages. Fails with `invalid_argument` if a line cannot be parsed. */
export async function* readJournalFile(path: string): AsyncGenerator<JournalTrust | JournalMessage> {
  const input = createReadStream(path, { encoding: "utf8" });
  let lines = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      lines += 1;
      yield lines === 1 ? parseJournalTrust(line) : parseJournalLine(line);
    }
  } catch (cause) {
    const why = cause instanceof AshlarError ? cause.message : fileReason(cause);
    throw new AshlarError("invalid_argument", `${path}:${lines}: ${why}`, { cause });
  } finally {
    input.destroy();
  }
}

/** Verifies an export; asks nobody. */
export async function verifyJournalFile(path: string, rootHash: Digest): Promise<JournalVerdict & { service: string }> {
  let verifier: JournalVerifier | undefined;
  let trust: JournalTrust | undefined;
  let [lines, last] = [0, 0];
  const input = createReadStream(path, { encoding: "utf8" });
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.length > journalLineBytesMax) throw new AshlarError("invalid_argument", "a line is too long");
      lines += 1;
      if (verifier === undefined) {
        trust = parseJournalTrust(line);
        verifier = verifierOf(trust, rootHash);
        continue;
      }
      try {
        const message = parseJournalLine(line);
        last = message.sequence;
        verifier.add(message);
      } catch (error) {
        verifier.refuse(last + 1, `line ${lines} was changed: ${error instanceof Error ? error.message : error}`);
      }
    }
  } catch (cause) {
    if (!(cause instanceof AshlarError))
      throw new AshlarError("invalid_argument", `cannot read ${path}: ${fileReason(cause)}`, { cause });
    throw new AshlarError(cause.code, `${path}: ${cause.message}`, { cause });
  } finally {
    input.destroy();
  }
  if (verifier === undefined || trust === undefined)
    throw new AshlarError("invalid_record", `${path}: the file is empty`);
  return { ...verifier.finish(endOf(trust, lines - 1)), service: trust.service };
}
