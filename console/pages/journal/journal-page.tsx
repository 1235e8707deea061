/** The page Journal: the writes of services that keep a journal, in order, with the outcome of each. */
import { useMemo, useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { JournalEntryInfo } from "../../api/record-messages.js";
import { counted } from "../../format/amounts.js";
import { shellWord } from "../../format/names.js";
import { Command, Search, Select } from "../../parts/controls.js";
import { Empty, More, Notice, Shown } from "../../parts/states.js";
import { Badge } from "../../parts/words.js";
import type { Place } from "../../state/place.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useFilter } from "../../state/use-place.js";
import { filterJournal } from "./journal-entries.js";
import { JournalTable } from "./journal-table.js";

const entriesMax = 2000;
const shownFirst = 100;

export function JournalPage({ place }: { readonly place: Place }) {
  const [service, setService] = useFilter(place, "service");
  const load = (signal: AbortSignal) => call("ListJournal", { service, limit: entriesMax }, signal);
  const [journal, again] = useLoaded(`journal ${service}`, load, { everyMs: 10_000 });
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Journal</h1>
          <p>
            Every write to a service with a journal: appended before it is forwarded, signed by the proxy that carried
            it.
          </p>
        </div>
      </div>
      <Shown
        of={journal}
        what="the journals"
        again={again}
        isEmpty={({ entries }) => entries.length === 0 && service === ""}
        empty={
          <section class="card">
            <Empty icon="journal" title="Nothing was written to a journal">
              A service keeps one where policy has a <code>Journal</code> for it.
            </Empty>
          </section>
        }
      >
        {({ entries, refused }) => (
          <>
            <Verified entries={entries} refused={refused} service={service} />
            <section class="card" aria-label="Entries">
              <Entries entries={entries} place={place} service={service} onService={setService} onChanged={again} />
            </section>
          </>
        )}
      </Shown>
    </>
  );
}

interface VerifiedProps {
  readonly entries: readonly JournalEntryInfo[];
  readonly refused: number;
  readonly service: string;
}

/** Says what the control plane verified before it listed the entries. */
function Verified({ entries, refused, service }: VerifiedProps) {
  const unresolved = entries.filter(({ valid, settled }) => valid && !settled).length;
  const name = service || entries[0]?.service || "NAME";
  return (
    <Notice tone={refused > 0 ? "bad" : "ok"}>
      <div class="stack">
        <div class="row">
          <Badge tone={refused > 0 ? "bad" : "ok"}>
            {refused > 0 ? `${counted(refused, "message")} refused` : "signatures hold"}
          </Badge>
          <span>
            {refused > 0
              ? "They are no records, or their writer did not sign them: they count for nothing and are not listed."
              : `The proxies that wrote them signed all ${counted(entries.length, "entry", "entries")} below.`}
          </span>
          {unresolved > 0 && <Badge tone="warn">{counted(unresolved, "outcome")} unknown</Badge>}
        </div>
        <p class="quiet">Seals over the stored bytes are verified on your machine:</p>
        <Command line={`ashlar journal verify --service ${shellWord(name)}`} />
      </div>
    </Notice>
  );
}

interface EntriesProps {
  readonly entries: readonly JournalEntryInfo[];
  readonly place: Place;
  readonly service: string;
  readonly onService: (service: string) => void;
  readonly onChanged: () => void;
}

function Entries({ entries, place, service, onService, onChanged }: EntriesProps) {
  const [search, setSearch] = useFilter(place, "q");
  const [state, setState] = useFilter(place, "state");
  const [most, setMost] = useState(shownFirst);
  const found = useMemo(() => filterJournal(entries, { search, state }), [entries, search, state]);
  const services = [...new Set([...entries.map((entry) => entry.service), ...(service ? [service] : [])])].sort();
  return (
    <>
      <div class="card-body tools bottom">
        <Search label="Search the journals" value={search} onChange={setSearch} />
        <Select
          label="Service"
          value={service}
          onChange={onService}
          options={[["", "all services"], ...services.map((name) => [name, name] as const)]}
        />
        <Select
          label="State"
          value={state}
          onChange={setState}
          options={[
            ["", "any"],
            ["settled", "settled"],
            ["unresolved", "outcome unknown"],
            ["void", "void"],
          ]}
        />
        <span class="quiet number" aria-live="polite">
          {counted(found.length, "entry", "entries")}
        </span>
      </div>
      {found.length === 0 ? (
        <Empty icon="search" title="No entry is like that">
          Change the filters to see others.
        </Empty>
      ) : (
        <JournalTable entries={found.slice(0, most)} onChanged={onChanged} />
      )}
      <More shown={Math.min(most, found.length)} all={found.length} onMore={() => setMost((before) => before + 300)} />
      {entries.length >= entriesMax && (
        <div class="more">These are the newest {entriesMax} entries. Choose a service to see more of it.</div>
      )}
    </>
  );
}
