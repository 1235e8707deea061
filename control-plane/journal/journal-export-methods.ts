/** The admin API's method that exports a journal as it is stored, for verification elsewhere. */
import { AshlarError } from "../../core/errors.js";
import type { KeySet } from "../../core/signature.js";
import { journalStream } from "../../core/wire/subjects.js";
import type { AdminServiceService, JournalStoredMessage } from "../../proto/gen/ashlar/v1/admin.js";
import type { Bus } from "../../runtime/bus.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Ledger } from "../store/ledger.js";
import { storedOrFirst } from "./journal-importer.js";
import type { JournalReader } from "./journal-reader.js";
import { type JournalSealer, readJournal } from "./journal-sealer.js";
import { readLetGo } from "./read-let-go.js";
import { everyKey } from "./seal-journals.js";

export interface JournalExportDeps extends OperatedDeps {
  readonly bus: Pick<Bus, "streamInfo" | "leaderGet" | "directGet">;
  readonly journalSealer: Pick<JournalSealer, "endOf">;
  readonly journalReader: Pick<JournalReader, "services">;
  readonly rootPublicKey: Uint8Array;
  readonly ledger: Pick<Ledger, "trust">;
}

type ExportMethods = Pick<Implementation<typeof AdminServiceService>, "exportJournal" | "listJournals">;

const pageMessages = 1000;
const pageBytes = 2 * 1024 * 1024;

export function journalExportMethods(deps: JournalExportDeps): ExportMethods {
  const { mesh, bus, journalSealer, ledger, rootPublicKey } = deps;
  const operated = operatedBy(deps);
  return {
    listJournals: operated(async () => ({ services: [...(await deps.journalReader.services())] })),
    exportJournal: operated(async ({ service, from, through }, _caller, signal) => {
      const keys = { mesh, keys: everyKey(ledger.trust) };
      if (from > 0) return { ...(await pageOf(bus, service, from, through, keys, signal)), ...noHeader };
      const info = await bus.streamInfo(journalStream(service));
      if (info === undefined) throw new AshlarError("not_found", `service ${service} has no journal`);
      const letGo = await readLetGo(bus, service, mesh, keys.keys);
      const end = await journalSealer.endOf({ service, info }, signal);
      const page = await pageOf(bus, service, Math.max(1, info.firstSequence), info.lastSequence, keys, signal);
      const trust = ledger.trust.list().map(({ bytes }) => Buffer.from(bytes));
      const signed = { end: Buffer.from(end), letGo: Buffer.from(letGo?.bytes ?? []) };
      return { ...page, ...signed, mesh, rootPublicKey: Buffer.from(rootPublicKey), trust };
    }),
  };
}

const noHeader = { end: Buffer.alloc(0), letGo: Buffer.alloc(0), mesh: "", rootPublicKey: Buffer.alloc(0), trust: [] };

async function pageOf(
  bus: Pick<Bus, "leaderGet" | "directGet">,
  service: string,
  from: number,
  through: number,
  trust: { readonly mesh: string; readonly keys: KeySet },
  signal: AbortSignal,
) {
  const messages: JournalStoredMessage[] = [];
  let [bytes, next] = [0, 0];
  const last = Math.min(through, from + pageMessages - 1);
  for await (const stored of readJournal(bus, service, from, last, signal)) {
    if (bytes > pageBytes) {
      next = stored.sequence;
      break;
    }
    const { sequence, subject, statement, data, storedMs } = storedOrFirst(stored, service, trust);
    messages.push({ sequence, storedMs, subject, statement, data: Buffer.from(data) });
    bytes += data.length + statement.length;
  }
  if (signal.aborted) throw new AshlarError("unavailable", "the call was cancelled");
  return { messages, through, next: next > 0 ? next : last < through ? last + 1 : 0 };
}
