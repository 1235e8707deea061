import { Counter, type Registry } from "../../runtime/metric-kinds.js";
import { gaugesOf } from "../../runtime/process-metrics.js";
import type { JournalSources } from "../journal/journal-counts.js";

/** Registers the metrics of journaled writes. They are read at each scrape. */
export function reportJournal(registers: Registry[], journal: JournalSources): void {
  const read = gaugesOf(registers);
  read("ashlar_journal_writes_open", "Journaled writes that are under way.", () => journal.open);
  read("ashlar_journal_bytes", "Bytes that journaled writes hold or have reserved.", () => journal.room.bytes);
  read("ashlar_journal_limit_bytes", "Limit of ashlar_journal_bytes.", () => journal.room.bytesMax);
  new Counter({
    name: "ashlar_journal_writes_total",
    help: "Calls that policy wants in the journal, by what their callers were told.",
    labelNames: ["outcome"],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(journal.counts.totals)) this.inc({ outcome }, count);
    },
  });
}
