/** The panel for a chosen box: its versions, and links to its connections. */
import { renderRate, renderShare } from "../../format/amounts.js";
import { clip, shellWord, shortIdentity } from "../../format/names.js";
import { Command } from "../../parts/controls.js";
import { Icon } from "../../parts/icon.js";
import { Badge } from "../../parts/words.js";
import { useBroughtIntoView } from "../../state/use-brought-into-view.js";
import type { Chosen } from "./chosen.js";
import { type MeshEdge, type MeshNode, stateOfEdge, type Topology } from "./topology.js";

interface NodePanelProps {
  readonly id: string;
  readonly topology: Topology;
  readonly onChoose: (chosen: Chosen) => void;
  readonly onClose: () => void;
}

export function NodePanel({ id, topology, onChoose, onClose }: NodePanelProps) {
  const panel = useBroughtIntoView<HTMLElement>(id);
  const node = topology.nodes.find((entry) => entry.id === id);
  if (node === undefined) return null;
  const into = topology.edges.filter(({ to }) => to === id);
  const outOf = topology.edges.filter(({ from }) => from === id);
  return (
    <aside ref={panel} class="panel" aria-label={`About ${shortIdentity(id)}`}>
      <header>
        <h2 class="wrap">{clip(shortIdentity(id), 80)}</h2>
        <button type="button" class="button plain small" aria-label="Close" onClick={onClose}>
          <Icon name="cross" />
        </button>
      </header>
      <div class="panel-body">
        <Health node={node} />
        <Ends title="Called by" edges={into} end="from" onChoose={onChoose} />
        <Ends title="Calls" edges={outOf} end="to" onChoose={onChoose} />
        {node.kind !== "outside" && (
          <div class="stack">
            <h3>See its calls one by one</h3>
            <Command line={`ashlar tap --${node.kind === "gateway" ? "caller" : "service"} ${shellWord(id)}`} />
          </div>
        )}
      </div>
    </aside>
  );
}

function Health({ node }: { readonly node: MeshNode }) {
  if (node.kind !== "service")
    return (
      <p class="quiet">
        {node.kind === "gateway"
          ? "A gateway: clients outside the mesh come in here."
          : node.kind === "egress"
            ? "Outside the mesh, called by name through an egress."
            : "Not a service of this mesh's policy."}
      </p>
    );
  return (
    <div class="stack">
      <div class="row">
        {node.instances === 0 ? (
          <Badge tone="warn">no instance</Badge>
        ) : node.unhealthy > 0 ? (
          <Badge tone="warn">
            {node.unhealthy} of {node.instances} take no calls
          </Badge>
        ) : (
          <Badge tone="ok">all {node.instances} take calls</Badge>
        )}
        <a href={`#/proxies?q=${encodeURIComponent(node.id)}`}>Its proxies</a>
        <a href={`#/access?service=${encodeURIComponent(node.id)}`}>Who may call it</a>
      </div>
      {node.versions.length > 0 && (
        <table class="table small">
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col" class="end">
                Instances
              </th>
              <th scope="col" class="end">
                Share
              </th>
              <th scope="col" class="end">
                Calls
              </th>
            </tr>
          </thead>
          <tbody>
            {node.versions.map((version) => (
              <tr key={version.name}>
                <th scope="row">{clip(version.name, 40)}</th>
                <td class="end">{version.instances}</td>
                <td class="end">{version.share === undefined ? "" : renderShare(version.share)}</td>
                <td class="end">{renderRate(version.rate)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

const tones = { busy: "ok", failing: "warn", refused: "bad", idle: "plain", barred: "plain" } as const;
const shownMax = 100;

interface EndsProps {
  readonly title: string;
  readonly edges: readonly MeshEdge[];
  readonly end: "from" | "to";
  readonly onChoose: (chosen: Chosen) => void;
}

function Ends({ title, edges, end, onChoose }: EndsProps) {
  const sorted = edges.toSorted((a, b) => b.figures.rate - a.figures.rate || (a.id < b.id ? -1 : 1));
  return (
    <div class="stack">
      <h3>
        {title} {edges.length === 0 && <span class="quiet">nobody</span>}
      </h3>
      <ul class="ends">
        {sorted.slice(0, shownMax).map((edge) => (
          <li key={edge.id}>
            <button type="button" onClick={() => onChoose({ kind: "edge", id: edge.id })}>
              <span class={`dot ${tones[stateOfEdge(edge)]}`} aria-hidden="true" />
              <span class="wrap">{clip(shortIdentity(edge[end]), 60)}</span>
              <span class="number quiet">{edge.figures.rate > 0 ? renderRate(edge.figures.rate) : "idle"}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
