/** Shows the ledger as a table with a group for each service. A row opens to show all that is known of its proxy. */
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { renderMs } from "../../format/amounts.js";
import { clip } from "../../format/names.js";
import { renderTime } from "../../format/times.js";
import { Icon } from "../../parts/icon.js";
import { Ago, Badge, Id, Revision } from "../../parts/words.js";
import { certificateOf, type Row } from "./ledger.js";

const columnsMax = 9;

export function LedgerTable({ rows, nowMs }: { readonly rows: readonly Row[]; readonly nowMs: number }) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (id: string): void =>
    setOpen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  const hasWorkers = rows.some(({ proxy }) => (proxy?.workers ?? 0) > 0);
  const columns = hasWorkers ? columnsMax : columnsMax - 1;
  return (
    <div class="table-frame">
      <table class="table ledger">
        <thead>
          <tr>
            <th scope="col">Proxy</th>
            <th scope="col">Version</th>
            <th scope="col">State</th>
            <th scope="col">Evaluates</th>
            <th scope="col" class="end">
              Lag
            </th>
            {hasWorkers && (
              <th scope="col" class="end">
                Workers
              </th>
            )}
            <th scope="col">Endpoint</th>
            <th scope="col">Certificate</th>
            <th scope="col">Heard of</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <Fragment key={row.id}>
              {row.service !== rows[index - 1]?.service && (
                <tr class="group">
                  <th scope="rowgroup" colSpan={columns}>
                    {clip(row.service, 80) || "no service"}
                  </th>
                </tr>
              )}
              <ProxyRow {...{ row, nowMs, hasWorkers }} open={open.has(row.id)} onToggle={() => toggle(row.id)} />
              {open.has(row.id) && (
                <tr class="detail">
                  <td colSpan={columns}>
                    <Detail row={row} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  readonly row: Row;
  readonly nowMs: number;
  readonly hasWorkers: boolean;
  readonly open: boolean;
  readonly onToggle: () => void;
}

function ProxyRow({ row, nowMs, hasWorkers, open, onToggle }: RowProps) {
  const { proxy, convergence, state } = row;
  return (
    <tr>
      <th scope="row" class="tight">
        <button type="button" class="unfold" aria-expanded={open} onClick={onToggle}>
          <Icon name="chevron" />
          <Id id={row.id} length={14} />
        </button>
      </th>
      <td class="tight">{clip(row.version, 40)}</td>
      <td>
        <Badge tone={state.tone}>{state.word}</Badge>
        {state.why && <div class="why quiet wrap">{clip(state.why, 240)}</div>}
      </td>
      <td class="tight">
        <Revision number={proxy?.revision ?? convergence?.evaluatingRevision ?? 0} digest={proxy?.digest} />
        {proxy !== undefined && <span class="quiet number"> at epoch {proxy.epoch}</span>}
      </td>
      <td class="end">{proxy !== undefined && proxy.epoch > 0 ? renderMs(proxy.lagMs) : ""}</td>
      {hasWorkers && (
        <td class="end">
          <Workers row={row} />
        </td>
      )}
      <td class="tight">
        <Endpoint row={row} />
      </td>
      <td class="tight">
        {proxy !== undefined && <CertificateBar expiresMs={proxy.certificateExpiresMs} nowMs={nowMs} />}
      </td>
      <td class="tight">
        <Ago timeMs={proxy?.lastSeenMs ?? 0} nowMs={nowMs} />
      </td>
    </tr>
  );
}

function Endpoint({ row: { endpoint, proxy } }: { readonly row: Row }) {
  if (endpoint === undefined)
    return <span class="quiet">{proxy?.serving === true ? "not announced" : "no application"}</span>;
  return (
    <div>
      <Badge tone={endpoint.healthy ? "ok" : "warn"}>{endpoint.healthy ? "takes calls" : "takes none"}</Badge>{" "}
      <code>{clip(endpoint.address, 60)}</code>
      {endpoint.why && <div class="why quiet wrap">{clip(endpoint.why, 240)}</div>}
    </div>
  );
}

/** Shows how many workers carry calls. A proxy without workers shows nothing. */
function Workers({ row: { proxy } }: { readonly row: Row }) {
  if (proxy === undefined || proxy.workers === 0) return null;
  if (proxy.workersServing === proxy.workers) return <span class="number">{proxy.workers}</span>;
  return <Badge tone="warn">{`${proxy.workersServing} of ${proxy.workers}`}</Badge>;
}

function CertificateBar({ expiresMs, nowMs }: { readonly expiresMs: number; readonly nowMs: number }) {
  const { leftMs, share, tone } = certificateOf(expiresMs, nowMs);
  return (
    <div title={`expires ${renderTime(expiresMs)}`}>
      {leftMs > 0 ? `${renderMs(leftMs)} left` : "expired"}
      <div class={`bar ${tone}`} aria-hidden="true">
        <i style={{ width: `${Math.round(share * 100)}%` }} />
      </div>
    </div>
  );
}

function Detail({ row }: { readonly row: Row }) {
  const { proxy, convergence, endpoint } = row;
  const facts: (readonly [string, string])[] = [
    ["Id", row.id],
    ["Instance", endpoint?.instance ?? ""],
    [
      "Should evaluate",
      convergence ? `revision ${convergence.desiredRevision} at epoch ${convergence.desiredEpoch}` : "",
    ],
    ["Highest epoch seen", proxy ? String(proxy.seenEpoch) : ""],
    ["Evaluates", proxy?.digest ?? ""],
    ["Prepared revisions", proxy?.prepared.join(", ") ?? ""],
    ["Refused", proxy?.rejectedRevision ? `revision ${proxy.rejectedRevision}: ${proxy.rejectedReason}` : ""],
    ["Freshness statement", proxy ? `${renderMs(proxy.freshnessAgeMs)} old` : ""],
    ["Clock", proxy?.clockAheadMs === undefined ? "not known" : clockWords(proxy.clockAheadMs)],
    ["Ways around the proxy", proxy?.bypassable.join(", ") ?? ""],
    ["Certificate expires", proxy ? renderTime(proxy.certificateExpiresMs) : ""],
    ["Last heard of", proxy ? renderTime(proxy.lastSeenMs) : ""],
    ["Revoked", proxy?.revokedMs ? `${renderTime(proxy.revokedMs)}: ${proxy.revokedReason}` : ""],
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
    </dl>
  );
}

function clockWords(aheadMs: number): string {
  if (aheadMs === 0) return "as the control plane's";
  return `${renderMs(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"} the control plane's`;
}
