/** The admin API's methods that show journals. */
import { AshlarError } from "../../core/errors.js";
import type { AdminServiceService, JournalEntryInfo } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { bounded } from "../admin/bounded.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { JournalReader, ReadEntry } from "./journal-reader.js";
import { type JournalResolverDeps, resolveEntry } from "./journal-resolver.js";
import { type JournalRetainerDeps, retainJournal } from "./journal-retainer.js";
import { shredSubject } from "./journal-shredder.js";
import { sealedPartsOf } from "./sealed-parts.js";

export interface JournalMethodsDeps
  extends OperatedDeps,
    Omit<JournalResolverDeps, "journalReader">,
    Omit<JournalRetainerDeps, "journalReader"> {
  readonly journalReader: JournalReader;
}

type JournalMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "listJournal" | "getJournalEntry" | "resolveJournalEntry" | "retainJournal" | "shredJournal"
>;

const entriesDefault = 1000;
const entriesMax = 10_000;

export function journalMethods(deps: JournalMethodsDeps): JournalMethods {
  const { journalReader } = deps;
  const operated = operatedBy(deps);
  return {
    listJournal: operated(async ({ service, key, unresolved, sinceMs, limit }, _caller, signal) => {
      const most = bounded("limit", limit, entriesDefault, entriesMax);
      const services = service === "" ? await journalReader.services() : [service];
      const entries: ReadEntry[] = [];
      let refused = 0;
      for (const name of services) {
        const journal = await journalReader.read(name, signal);
        refused += journal.refused;
        const asked = journal.entries.filter(
          (one) =>
            one.storedMs >= sinceMs &&
            (key === "" || one.entry.key === key) &&
            (!unresolved || (one.judged.isValid && one.judged.settledBy === 0)),
        );
        entries.push(...asked.slice(-most));
      }
      return { entries: newestOf(entries, most).map(renderEntry), refused };
    }),
    resolveJournalEntry: operated(async ({ applied, ...request }, caller) => {
      const outcome = applied ? "applied" : "not-applied";
      return { sequence: await resolveEntry(deps, { ...request, outcome }, caller) };
    }),
    shredJournal: operated(async (request, caller, signal) => ({
      keys: await shredSubject(deps, request, caller, signal),
    })),
    retainJournal: operated((request, caller, signal) => retainJournal(deps, request, caller, signal)),
    getJournalEntry: operated(async ({ service, sequence }, _caller, signal) => {
      const { entries } = await journalReader.read(service, signal, sequence);
      const found = entries.find(({ judged }) => judged.sequence === sequence);
      if (found === undefined)
        throw new AshlarError("not_found", `the journal of ${service} has no entry ${sequence} that its proxy signed`);
      return {
        entry: renderEntry(found),
        request: Buffer.from(found.request),
        response: Buffer.from(found.response),
        operator: found.resolution?.operator ?? "",
        reason: found.resolution?.reason ?? "",
        parts: found.parts && (await sealedPartsOf(deps.access.bus, service, found.parts)),
      };
    }),
  };
}

/** Returns the last `most` entries of several journals by the time at which they were stored, oldest first. */
export function newestOf(entries: readonly ReadEntry[], most: number): readonly ReadEntry[] {
  return [...entries].sort((one, other) => one.storedMs - other.storedMs).slice(-most);
}

function renderEntry({
  entry,
  requestBytes,
  isPrivate,
  judged,
  storedMs,
  outcome,
  resolution,
}: ReadEntry): JournalEntryInfo {
  const { service, user, method, key, order, expected, revision, epoch, decision, proxyId, messagesRecords } = entry;
  return {
    ...{ service, user, method, key, order, expected, revision, epoch, decision, proxyId, messagesRecords },
    sequence: judged.sequence,
    timeMs: storedMs,
    principal: entry.caller,
    valid: judged.isValid,
    settled: judged.settledBy !== 0,
    code: outcome?.code ?? resolution?.code ?? 0,
    settledBy: judged.settledBy,
    requestBytes,
    private: isPrivate,
  };
}
