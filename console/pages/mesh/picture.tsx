/** Draws the boxes and lines of the picture. */
import { memo } from "preact/compat";
import { renderShare } from "../../format/amounts.js";
import { clip } from "../../format/names.js";
import type { Chosen } from "./chosen.js";
import { Edge } from "./edge-line.js";
import { NodeBox } from "./node-box.js";
import { type MeshEdge, type MeshNode, stateOfEdge } from "./topology.js";
import type { Drawn } from "./use-layout.js";

interface PictureProps {
  readonly drawn: Drawn;
  readonly nodes: readonly MeshNode[];
  readonly edges: readonly MeshEdge[];
  readonly chosen: Chosen;
  /** The ids that the search finds. undefined: nobody searches. */
  readonly found: ReadonlySet<string> | undefined;
  readonly onChoose: (chosen: Chosen) => void;
}

/** With more lines than this, no line is animated: it would cost more than it shows. */
const flowingMax = 60;

export const Picture = memo(function Picture({ drawn, nodes, edges, chosen, found, onChoose }: PictureProps) {
  const near = nearOf(edges, chosen);
  const dim = (id: string): boolean =>
    (near !== undefined && !near.has(id)) || (near === undefined && found !== undefined && !found.has(id));
  const splits = new Map(nodes.map((node) => [node.id, renderSplit(node)]));
  const flows = edges.length <= flowingMax;
  const quiet = drawn.packed && near === undefined && found === undefined;
  return (
    <g class={quiet ? "crowd" : ""}>
      {edges.map((edge) => {
        const dimmed =
          near !== undefined ? !near.has(edge.id) : found !== undefined && !found.has(edge.from) && !found.has(edge.to);
        const isChosen = chosen?.id === edge.id;
        return (
          <Edge
            key={edge.id}
            edge={edge}
            drawn={drawn}
            className={`edge ${stateOfEdge(edge)}${dimmed ? " dim" : ""}${isChosen ? " chosen" : ""}${flows && edge.figures.rate > 0 ? " flows" : ""}`}
            split={splits.get(edge.to) ?? ""}
            words={!drawn.packed || isChosen || (near?.has(edge.id) ?? false)}
          />
        );
      })}
      {nodes.map((node) => {
        const box = drawn.boxes[node.id];
        const place = drawn.layout.places[node.id];
        if (box === undefined || place === undefined) return null;
        return (
          <NodeBox
            key={node.id}
            node={node}
            box={box}
            place={place}
            packed={drawn.packed}
            className={`node ${node.kind}${dim(node.id) ? " dim" : ""}${chosen?.id === node.id ? " chosen" : ""}${found?.has(node.id) ? " found" : ""}`}
            onChoose={onChoose}
          />
        );
      })}
    </g>
  );
});

/** Returns "v1 90 % · v2 10 %" for a service whose route splits its calls. */
function renderSplit({ versions }: MeshNode): string {
  const split = versions.filter(({ share }) => share !== undefined);
  return split.map(({ name, share = 0 }) => `${clip(name, 12)} ${renderShare(share)}`).join(" · ");
}

/** Returns the ids of what belongs to the chosen box or line. undefined: nothing is chosen. */
function nearOf(edges: readonly MeshEdge[], chosen: Chosen): ReadonlySet<string> | undefined {
  if (chosen === undefined) return undefined;
  const own = edges.filter(({ id, from, to }) => id === chosen.id || from === chosen.id || to === chosen.id);
  return new Set([chosen.id, ...own.flatMap(({ id, from, to }) => [id, from, to])]);
}
