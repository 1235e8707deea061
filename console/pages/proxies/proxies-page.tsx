/**
 * The page Proxies: what each proxy evaluates and since when, which are behind and why, and the state of the control
 * planes.
 */
import { useMemo, useState } from "preact/hooks";
import { orNotFound } from "../../api/call-error.js";
import { call } from "../../api/client.js";
import { counted, renderCount } from "../../format/amounts.js";
import { Check, Search } from "../../parts/controls.js";
import { Empty, Loading, More, Notice, Shown } from "../../parts/states.js";
import { Revision } from "../../parts/words.js";
import type { Place } from "../../state/place.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh, useNow } from "../../state/use-mesh.js";
import { useFilter } from "../../state/use-place.js";
import { ControlPlanes } from "./control-planes.js";
import { buildLedger, filterLedger, type Row } from "./ledger.js";
import { LedgerTable } from "./ledger-table.js";

const everyMs = 3000;
const shownFirst = 100;

async function load(signal: AbortSignal): Promise<readonly Row[]> {
  const [{ proxies }, convergence, { services }] = await Promise.all([
    call("ListProxies", {}, signal),
    // Before anything was activated nothing can be behind.
    orNotFound(call("GetConvergence", {}, signal), { proxies: [] }),
    call("ListServices", {}, signal),
  ]);
  return buildLedger(proxies, convergence.proxies, services);
}

export function ProxiesPage({ place }: { readonly place: Place }) {
  const { turn } = useMesh();
  const [rows, again] = useLoaded("ledger", load, { everyMs, when: [turn] });
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Proxies</h1>
          <p>What each proxy says it evaluates, by its own signed word, and how far that is from what it should.</p>
        </div>
      </div>
      <Problems />
      <Tiles rows={rows.value} />
      <section class="card" aria-label="Ledger">
        <Shown
          of={rows}
          what="the proxies"
          again={again}
          isEmpty={(value) => value.length === 0}
          empty={
            <Empty icon="proxies" title="No proxy has joined yet">
              Make a token with <code>ashlar token --service NAME</code> and start <code>ashlar proxy</code> with it.
            </Empty>
          }
        >
          {(value) => <Ledger rows={value} place={place} />}
        </Shown>
      </section>
      <ControlPlanes />
    </>
  );
}

function Problems() {
  const { status } = useMesh();
  const [all, setAll] = useState(false);
  const problems = status.value?.problems ?? [];
  if (problems.length === 0) return null;
  const shown = all ? problems : problems.slice(0, 4);
  return (
    <Notice
      tone="bad"
      title={counted(problems.length, "problem")}
      action={
        problems.length > shown.length && (
          <button type="button" class="button small" onClick={() => setAll(true)}>
            Show all
          </button>
        )
      }
    >
      <ul>
        {shown.map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </Notice>
  );
}

function Tiles({ rows }: { readonly rows: readonly Row[] | undefined }) {
  const { status } = useMesh();
  const mesh = status.value;
  if (mesh === undefined) return <Loading what="the state of the mesh" />;
  const behind = rows?.filter((row) => row.state.behind).length ?? mesh.behind;
  const unhealthy = rows?.filter((row) => row.endpoint?.healthy === false).length;
  const digest = rows?.find((row) => row.proxy?.revision === mesh.revision)?.proxy?.digest;
  return (
    <dl class="tiles">
      <div class="tile">
        <dt>Epoch</dt>
        <dd>{renderCount(mesh.epoch)}</dd>
      </div>
      <div class="tile">
        <dt>Active revision</dt>
        <dd>
          <Revision number={mesh.revision} digest={digest} />
        </dd>
      </div>
      <div class="tile">
        <dt>Evaluate it</dt>
        <dd>
          {renderCount(mesh.active)} <small>of {renderCount(mesh.total)} live</small>
        </dd>
      </div>
      <div class="tile">
        <dt>Behind</dt>
        <dd class={behind > 0 ? "warn-text" : ""}>{renderCount(behind)}</dd>
      </div>
      <div class="tile">
        <dt>Endpoints that take no calls</dt>
        <dd class={unhealthy ? "warn-text" : ""}>{unhealthy === undefined ? "?" : renderCount(unhealthy)}</dd>
      </div>
    </dl>
  );
}

function Ledger({ rows, place }: { readonly rows: readonly Row[]; readonly place: Place }) {
  const nowMs = useNow();
  const [search, setSearch] = useFilter(place, "q");
  const [behind, setBehind] = useFilter(place, "behind");
  const [most, setMost] = useState(shownFirst);
  const found = useMemo(() => filterLedger(rows, { search, behindOnly: behind !== "" }), [rows, search, behind]);
  return (
    <>
      <div class="card-body tools">
        <Search label="Search proxies" value={search} onChange={setSearch} />
        <Check label="Only what needs a look" checked={behind !== ""} onChange={(on) => setBehind(on ? "1" : "")} />
        <span class="quiet number" aria-live="polite">
          {counted(found.length, "proxy", "proxies")}
        </span>
      </div>
      {found.length === 0 ? (
        <Empty icon="search" title="No proxy is like that">
          {behind !== "" && search === ""
            ? "Every proxy evaluates what it should."
            : "Change the search to see others."}
        </Empty>
      ) : (
        <LedgerTable rows={found.slice(0, most)} nowMs={nowMs} />
      )}
      <More shown={Math.min(most, found.length)} all={found.length} onMore={() => setMost((before) => before + 200)} />
    </>
  );
}
