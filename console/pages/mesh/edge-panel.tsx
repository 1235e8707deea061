/** The panel for a chosen line: its figures by method, the rules that allow its calls, and what was refused. */
import { renderMs, renderRate, renderShare } from "../../format/amounts.js";
import { clip, shellWord, shortIdentity, shortMethod } from "../../format/names.js";
import { Command } from "../../parts/controls.js";
import { Icon } from "../../parts/icon.js";
import { Badge } from "../../parts/words.js";
import { useBroughtIntoView } from "../../state/use-brought-into-view.js";
import { LiveCalls } from "./live-calls.js";
import { type AllowRule, rulesBetween, type Split } from "./policy.js";
import { Refusals } from "./refusals.js";
import type { MeshEdge, Topology } from "./topology.js";
import type { LiveTopology } from "./use-topology.js";

interface EdgePanelProps {
  readonly id: string;
  readonly topology: Topology;
  readonly live: LiveTopology;
  readonly onClose: () => void;
}

export function EdgePanel({ id, topology, live, onClose }: EdgePanelProps) {
  const panel = useBroughtIntoView<HTMLElement>(id);
  const edge = topology.edges.find((entry) => entry.id === id);
  if (edge === undefined) return null;
  const [from, to] = [shortIdentity(edge.from), shortIdentity(edge.to)];
  const split = live.policy.splits.find(({ service }) => service === edge.to);
  return (
    <aside ref={panel} class="panel" aria-label={`From ${from} to ${to}`}>
      <header>
        <h2 class="wrap">
          {clip(from, 60)} → {clip(to, 60)}
        </h2>
        <button type="button" class="button plain small" aria-label="Close" onClick={onClose}>
          <Icon name="cross" />
        </button>
      </header>
      <div class="panel-body">
        <EdgeFigures edge={edge} />
        {split && <SplitWords split={split} />}
        <ByMethod edge={edge} windowMs={live.traffic?.windowMs ?? 0} />
        <Rules rules={rulesBetween(live.policy, edge.from, edge.to)} />
        <Refusals caller={edge.from} service={edge.to} />
        <LiveCalls caller={edge.from} service={edge.to} />
        <div class="stack">
          <h3>The same in a terminal</h3>
          <Command line={`ashlar tap --service ${shellWord(edge.to)} --caller ${shellWord(edge.from)}`} />
          <Command line={`ashlar top --service ${shellWord(edge.to)}`} />
        </div>
      </div>
    </aside>
  );
}

function EdgeFigures({ edge: { figures } }: { readonly edge: MeshEdge }) {
  if (figures.rate === 0) return <p class="quiet">No call in the last ten seconds.</p>;
  return (
    <dl class="panel-figures">
      <div>
        <dt>Calls</dt>
        <dd>{renderRate(figures.rate)}</dd>
      </div>
      <div>
        <dt>Success</dt>
        <dd class={figures.success < 0.99 ? "bad-text" : "ok-text"}>{renderShare(figures.success)}</dd>
      </div>
      <div>
        <dt>p50</dt>
        <dd>{renderMs(figures.p50Ms)}</dd>
      </div>
      <div>
        <dt>p99</dt>
        <dd>{renderMs(figures.p99Ms)}</dd>
      </div>
    </dl>
  );
}

function SplitWords({ split }: { readonly split: Split }) {
  return (
    <div class="row">
      <span class="quiet">Split</span>
      {split.targets.map(({ version, share }) => (
        <Badge key={version} tone="accent">
          {clip(version, 40)} {renderShare(share)}
        </Badge>
      ))}
    </div>
  );
}

function ByMethod({ edge, windowMs }: { readonly edge: MeshEdge; readonly windowMs: number }) {
  if (edge.calls.length === 0) return null;
  return (
    <table class="table small">
      <thead>
        <tr>
          <th scope="col">Method</th>
          <th scope="col" class="end">
            Calls
          </th>
          <th scope="col" class="end">
            Refused, failed
          </th>
          <th scope="col" class="end">
            p99
          </th>
        </tr>
      </thead>
      <tbody>
        {edge.calls.slice(0, 50).map((pair) => (
          <tr key={`${pair.method} ${pair.version}`}>
            <th scope="row" class="wrap" title={pair.method}>
              {clip(shortMethod(pair.method), 40)} {pair.version && <span class="quiet">{clip(pair.version, 20)}</span>}
            </th>
            <td class="end">{renderRate(windowMs > 0 ? (pair.calls * 1000) / windowMs : 0)}</td>
            <td class={`end ${pair.refused + pair.failed > 0 ? "bad-text" : "quiet"}`}>
              {pair.refused}, {pair.failed}
            </td>
            <td class="end">{renderMs(pair.p99Ms)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Rules({ rules }: { readonly rules: readonly AllowRule[] }) {
  return (
    <div class="stack">
      <h3>{rules.length === 0 ? "No rule allows this" : "Rules that allow it"}</h3>
      {rules.length === 0 && <p class="quiet">Without one every call is denied by default.</p>}
      {rules.slice(0, 20).map((rule) => (
        <div key={rule.rule} class="rule">
          <code class="wrap">{clip(rule.rule, 120)}</code>
          <div class="row">
            {rule.methods.slice(0, 12).map((method) => (
              <Badge key={method}>{clip(method === "*" ? "every method" : method, 80)}</Badge>
            ))}
          </div>
          {rule.when && (
            <div class="wrap">
              <span class="quiet">when</span> <code>{clip(rule.when, 300)}</code>
            </div>
          )}
        </div>
      ))}
    </div>
  );
}
