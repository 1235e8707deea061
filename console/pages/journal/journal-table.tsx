/** Shows journal entries as a table. A row opens to show the whole entry. */
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import type { JournalEntryInfo } from "../../api/record-messages.js";
import { renderBytes } from "../../format/amounts.js";
import { clip, shortMethod } from "../../format/names.js";
import { renderTime } from "../../format/times.js";
import { Icon } from "../../parts/icon.js";
import { Badge, Who } from "../../parts/words.js";
import { EntryDetail } from "./entry-detail.js";
import { stateOfEntry } from "./journal-entries.js";

interface TableProps {
  readonly entries: readonly JournalEntryInfo[];
  readonly onChanged: () => void;
}

const columns = 7;

export function JournalTable({ entries, onChanged }: TableProps) {
  const [open, setOpen] = useState("");
  return (
    <div class="table-frame">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Entry</th>
            <th scope="col">When</th>
            <th scope="col">Caller</th>
            <th scope="col">Method</th>
            <th scope="col">Keys</th>
            <th scope="col">Outcome</th>
            <th scope="col" class="end">
              Request
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => {
            const id = `${entry.service} ${entry.sequence}`;
            return (
              <Fragment key={id}>
                <EntryRow entry={entry} open={open === id} onToggle={() => setOpen(open === id ? "" : id)} />
                {open === id && (
                  <tr class="detail">
                    <td colSpan={columns}>
                      <EntryDetail entry={entry} onChanged={onChanged} />
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  readonly entry: JournalEntryInfo;
  readonly open: boolean;
  readonly onToggle: () => void;
}

function EntryRow({ entry, open, onToggle }: RowProps) {
  const state = stateOfEntry(entry);
  return (
    <tr>
      <th scope="row" class="tight">
        <button type="button" class="unfold" aria-expanded={open} onClick={onToggle}>
          <Icon name="chevron" />
          {clip(entry.service, 40)} {entry.sequence}
        </button>
      </th>
      <td class="tight">{renderTime(entry.timeMs)}</td>
      <td>
        <Who id={entry.principal} />
        {entry.user && <div class="why quiet wrap">for {clip(entry.user, 80)}</div>}
      </td>
      <td class="wrap" title={entry.method}>
        <code>{clip(shortMethod(entry.method), 60)}</code>
      </td>
      <td class="wrap">
        {entry.key && (
          <div>
            <span class="quiet">key</span> <code>{clip(entry.key, 60)}</code>
          </div>
        )}
        {entry.order && (
          <div>
            <span class="quiet">order</span> <code>{clip(entry.order, 60)}</code>
          </div>
        )}
      </td>
      <td>
        <Badge tone={state.tone}>{state.word}</Badge>
      </td>
      <td class="end">{renderBytes(entry.requestBytes)}</td>
    </tr>
  );
}
