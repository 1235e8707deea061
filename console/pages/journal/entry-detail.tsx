/** Shows one entry: its place in the order, its messages, and for an unknown outcome a way to settle it. */
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { JournalEntryInfo } from "../../api/record-messages.js";
import { counted, renderBytes } from "../../format/amounts.js";
import { Shown } from "../../parts/states.js";
import { Revision, Who } from "../../parts/words.js";
import { renderPlace } from "../../state/place.js";
import { mayChange } from "../../state/rights.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { fromBase64 } from "../audit/chain.js";
import { readFrames, stateOfEntry } from "./journal-entries.js";
import { ResolveDialog } from "./resolve-dialog.js";

interface DetailProps {
  readonly entry: JournalEntryInfo;
  readonly onChanged: () => void;
}

export function EntryDetail({ entry, onChanged }: DetailProps) {
  const { session } = useMesh();
  const { service, sequence, valid, settled } = entry;
  const [resolving, setResolving] = useState(false);
  const load = (signal: AbortSignal) => call("GetJournalEntry", { service, sequence }, signal);
  const [whole, again] = useLoaded(`entry ${service} ${sequence}`, load);
  return (
    <div class="stack">
      {stateOfEntry(entry).why && <p>{stateOfEntry(entry).why}</p>}
      <Facts entry={entry} />
      {valid && !settled && (
        <div>
          <button type="button" class="button" disabled={!mayChange(session)} onClick={() => setResolving(true)}>
            Say what became of it
          </button>
        </div>
      )}
      {resolving && <ResolveDialog entry={entry} onClose={() => setResolving(false)} onDone={onChanged} />}
      <Shown of={whole} what="the entry" again={again}>
        {({ request, response, operator, reason }) => (
          <>
            {operator && (
              <p>
                <Who id={operator} /> said what became of it: {reason}
              </p>
            )}
            <Messages title="Request" base64={request} />
            <Messages title="Response" base64={response} />
          </>
        )}
      </Shown>
    </div>
  );
}

function Facts({ entry }: { readonly entry: JournalEntryInfo }) {
  const facts: readonly (readonly [string, string])[] = [
    ["Method", entry.method],
    ["Caller", entry.principal],
    ["Written by proxy", entry.proxyId],
    ["Comes after", entry.expected > 0 ? `entry ${entry.expected} of its order key` : ""],
    ["Settled by", entry.settledBy > 0 ? `record ${entry.settledBy}` : ""],
  ];
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== "")
        .map(([name, value]) => (
          <Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </Fragment>
        ))}
      <dt>Approved by</dt>
      <dd>
        revision <Revision number={entry.revision} /> at epoch {entry.epoch}
        {entry.decision && (
          <>
            {" · "}
            <a href={renderPlace({ page: "access", item: entry.decision, filters: { view: "explain" } })}>
              its decision
            </a>
          </>
        )}
      </dd>
    </dl>
  );
}

function Messages({ title, base64 }: { readonly title: string; readonly base64: string }) {
  if (base64 === "") return null;
  const bytes = fromBase64(base64);
  const { lengths, dump, cut } = readFrames(bytes);
  return (
    <div class="stack">
      <h3>
        {title}: {counted(lengths.length, "message")}, {renderBytes(bytes.length)}
      </h3>
      <pre class="code">{dump}</pre>
      {cut && <p class="quiet">The first KiB is shown. ashlar journal show has all of it.</p>}
    </div>
  );
}
