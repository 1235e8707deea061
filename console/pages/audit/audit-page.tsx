/** The page Audit: what operators did, in order, in a chain that shows whether any entry was changed later. */
import { useMemo, useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { AuditEntry } from "../../api/record-messages.js";
import { counted } from "../../format/amounts.js";
import { clip, shortIdentity } from "../../format/names.js";
import { renderTime } from "../../format/times.js";
import { Search, Select } from "../../parts/controls.js";
import { Empty, More, Shown } from "../../parts/states.js";
import { Badge, Who } from "../../parts/words.js";
import type { Place } from "../../state/place.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { useFilter } from "../../state/use-place.js";
import { ChainCheck } from "./chain-check.js";
import { detailOf, filterAudit, toneOfEntry, valuesOf } from "./filter-audit.js";

const entriesMax = 10_000;
const entriesAtFirst = 1000;
const shownFirst = 100;

export function AuditPage({ place }: { readonly place: Place }) {
  const { turn } = useMesh();
  const [limit, setLimit] = useState(entriesAtFirst);
  const load = (signal: AbortSignal) => call("ListAudit", { limit }, signal);
  const [audit, again] = useLoaded("audit", load, { everyMs: 10_000, when: [turn, limit] });
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Audit</h1>
          <p>Who did what, when, from where, and what came of it. Each entry names the digest of the one before it.</p>
        </div>
      </div>
      <ChainCheck listed={audit.value} />
      <section class="card" aria-label="Entries">
        <Shown
          of={audit}
          what="the audit log"
          again={again}
          isEmpty={({ entries }) => entries.length === 0}
          empty={
            <Empty icon="audit" title="Nothing was noted yet">
              What operators do is noted here.
            </Empty>
          }
        >
          {({ entries }) => (
            <Entries
              entries={entries}
              place={place}
              onAll={entries.length < limit || limit === entriesMax ? undefined : () => setLimit(entriesMax)}
            />
          )}
        </Shown>
      </section>
    </>
  );
}

interface EntriesProps {
  readonly entries: readonly AuditEntry[];
  readonly place: Place;
  readonly onAll: (() => void) | undefined;
}

function Entries({ entries, place, onAll }: EntriesProps) {
  const [search, setSearch] = useFilter(place, "q");
  const [action, setAction] = useFilter(place, "action");
  const [actor, setActor] = useFilter(place, "actor");
  const [outcome, setOutcome] = useFilter(place, "outcome");
  const [most, setMost] = useState(shownFirst);
  const found = useMemo(
    () => filterAudit(entries, { search, action, actor, outcome }),
    [entries, search, action, actor, outcome],
  );
  const every = (all: string, values: readonly string[], word = (value: string): string => value) =>
    [["", all], ...values.map((value) => [value, word(value)] as const)] as const;
  return (
    <>
      <div class="card-body tools bottom">
        <Search label="Search the audit log" value={search} onChange={setSearch} />
        <Select
          label="What"
          value={action}
          onChange={setAction}
          options={every("everything", valuesOf(entries, "action"))}
        />
        <Select
          label="Who"
          value={actor}
          onChange={setActor}
          options={every("everybody", valuesOf(entries, "actor"), shortIdentity)}
        />
        <Select
          label="Outcome"
          value={outcome}
          onChange={setOutcome}
          options={[
            ["", "any"],
            ["ok", "done"],
            ["refused", "refused or failed"],
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
        <AuditTable entries={found.slice(0, most)} />
      )}
      <More shown={Math.min(most, found.length)} all={found.length} onMore={() => setMost((before) => before + 300)} />
      {onAll && (
        <div class="more">
          The newest {entries.length} entries are loaded.
          <button type="button" class="button small" onClick={onAll}>
            Load older ones
          </button>
        </div>
      )}
    </>
  );
}

function AuditTable({ entries }: { readonly entries: readonly AuditEntry[] }) {
  return (
    <div class="table-frame">
      <table class="table">
        <thead>
          <tr>
            <th scope="col" class="end">
              Entry
            </th>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">What</th>
            <th scope="col">Outcome</th>
            <th scope="col">More</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.sequence}>
              <th scope="row" class="end">
                {entry.sequence}
              </th>
              <td class="tight">{renderTime(entry.timeMs)}</td>
              <td>
                <Who id={entry.actor} />
                {entry.source && <div class="why quiet tight">{clip(entry.source, 60)}</div>}
              </td>
              <td class="wrap">
                <Badge tone={toneOfEntry(entry)}>{clip(entry.action, 40)}</Badge> {clip(entry.target, 120)}
              </td>
              <td>
                <Badge tone={entry.outcome === "ok" ? "ok" : "bad"}>{clip(entry.outcome, 40)}</Badge>
              </td>
              <td class="wrap quiet">{clip(detailOf(entry), 400)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
