/** Boxes and lines of the picture. */
import { memo } from "preact/compat";
import { renderRate, renderShare } from "../../format/amounts.js";
import { clip, shortIdentity } from "../../format/names.js";
import { pathOf } from "./layout.js";
import type { Box, Point } from "./shapes.js";
import { type MeshEdge, type MeshNode, stateOfEdge } from "./topology.js";
import type { Drawn } from "./use-layout.js";

export type Chosen = { readonly kind: "node" | "edge"; readonly id: string } | undefined;

interface PictureProps {
  readonly drawn: Drawn;
  readonly nodes: readonly MeshNode[];
  readonly edges: readonly MeshEdge[];
  readonly chosen: Chosen;
  /** Ids that the search finds; undefined: nobody searches. */
  readonly found: ReadonlySet<string> | undefined;
  readonly onChoose: (chosen: Chosen) => void;
}

/** With more lines than this none moves: it would cost more than it shows. */
const flowingMax = 60;

export function Picture({ drawn, nodes, edges, chosen, found, onChoose }: PictureProps) {
  const near = nearOf(edges, chosen);
  const dim = (id: string): boolean =>
    (near !== undefined && !near.has(id)) || (near === undefined && found !== undefined && !found.has(id));
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
}

/** What belongs to the chosen box or line; undefined: nothing is chosen. */
function nearOf(edges: readonly MeshEdge[], chosen: Chosen): ReadonlySet<string> | undefined {
  if (chosen === undefined) return undefined;
  const own = edges.filter(({ id, from, to }) => id === chosen.id || from === chosen.id || to === chosen.id);
  return new Set([chosen.id, ...own.flatMap(({ id, from, to }) => [id, from, to])]);
}

interface EdgeProps {
  readonly edge: MeshEdge;
  readonly drawn: Drawn;
  readonly className: string;
  readonly words: boolean;
}

const Edge = memo(function Edge({ edge, drawn, className, words }: EdgeProps) {
  const { places, ways, words: rooms } = drawn.layout;
  const [from, to] = [places[edge.from], places[edge.to]];
  const [left, right] = [drawn.boxes[edge.from], drawn.boxes[edge.to]];
  if (from === undefined || to === undefined || left === undefined || right === undefined) return null;
  const path = edge.from === edge.to ? loopOf(from, left) : pathOf(ways[edge.id], from, to, [left.width, right.width]);
  const middle = rooms[edge.id] ?? { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const { figures } = edge;
  const width = figures.rate > 0 ? 1.4 + Math.min(4, Math.log10(1 + figures.rate) * 1.3) : 1.2;
  return (
    <g class={className} data-edge={edge.id}>
      <path class="reach" d={path} />
      <path class="line" d={path} stroke-width={width} />
      {words && figures.rate > 0 && (
        <text class="edge-words" x={middle.x} y={middle.y - 3} text-anchor="middle">
          {renderRate(figures.rate)}
          {figures.success < 1 && (
            <tspan class="edge-success" dx="6">
              {figures.refusedRate > 0 ? `${renderRate(figures.refusedRate)} refused` : renderShare(figures.success)}
            </tspan>
          )}
        </text>
      )}
      {words && figures.rate > 0 && figures.p99Ms > 0 && (
        <text class="edge-words quiet-words" x={middle.x} y={middle.y + 11} text-anchor="middle">
          p99 {figures.p99Ms < 10 ? figures.p99Ms.toFixed(1) : Math.round(figures.p99Ms)} ms
        </text>
      )}
    </g>
  );
});

function loopOf({ x, y }: Point, { width, height }: Box): string {
  const top = y - height / 2;
  return `M${x + width / 4} ${top}c0 -44 ${width / 3} -44 ${width / 3} ${height / 3}`;
}

interface NodeProps {
  readonly node: MeshNode;
  readonly box: Box;
  readonly place: Point;
  readonly packed: boolean;
  readonly className: string;
  readonly onChoose: (chosen: Chosen) => void;
}

const kindWords = {
  service: "service",
  gateway: "gateway",
  egress: "outside the mesh, by egress",
  outside: "outside the mesh",
} as const;

const NodeBox = memo(function NodeBox({ node, box, place, packed, className, onChoose }: NodeProps) {
  const name = shortIdentity(node.id).replace(/^gateway\//, "");
  const lack = node.kind === "service" && node.instances === 0;
  const health = lack ? "none" : node.unhealthy > 0 ? "some" : "all";
  const choose = (): void => onChoose({ kind: "node", id: node.id });
  return (
    // biome-ignore lint/a11y/useSemanticElements: a box inside a picture cannot be a button element
    <g
      class={className}
      transform={`translate(${place.x - box.width / 2} ${place.y - box.height / 2})`}
      role="button"
      tabIndex={0}
      aria-label={`${name}, ${kindWords[node.kind]}, ${renderRate(node.rate)}${lack ? ", no instance" : node.unhealthy > 0 ? `, ${node.unhealthy} of ${node.instances} take no calls` : ""}`}
      onClick={choose}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose();
      }}
    >
      <rect class="box" width={box.width} height={box.height} rx="6" />
      {node.kind === "service" && <circle class={`health ${health}`} cx="14" cy={packed ? 20 : 18} r="4" />}
      {node.kind !== "service" && <KindSign kind={node.kind} y={packed ? 20 : 18} />}
      <text class="node-name" x="26" y={packed ? 24 : 22}>
        {clip(name, packed ? 15 : 18)}
      </text>
      {!packed && (
        <>
          <text class="node-words" x="26" y="38">
            {lack
              ? "no instance"
              : node.rate > 0
                ? `${renderRate(node.rate)} in`
                : node.kind === "service"
                  ? "no calls"
                  : kindWords[node.kind].split(",")[0]}
          </text>
          {node.versions.map((version, index) => (
            <g key={version.name} transform={`translate(12 ${50 + index * 18})`}>
              {version.share !== undefined && (
                <rect class="share" width={(box.width - 24) * version.share} height="15" rx="2" />
              )}
              <text class="node-words" x="5" y="11.5">
                {clip(version.name, 10)} ×{version.instances}
              </text>
              <text class="node-words" x={box.width - 29} y="11.5" text-anchor="end">
                {version.share === undefined
                  ? version.rate > 0
                    ? renderRate(version.rate)
                    : ""
                  : renderShare(version.share)}
              </text>
            </g>
          ))}
        </>
      )}
    </g>
  );
});

function KindSign({ kind, y }: { readonly kind: MeshNode["kind"]; readonly y: number }) {
  const path =
    kind === "gateway"
      ? "M9 -5v10M9 0h9M15 -3l3 3-3 3"
      : kind === "egress"
        ? "M18 -5v10M9 0h9M14 -3l4 3-4 3"
        : "M9 0h9";
  return <path class="sign" d={path} transform={`translate(0 ${y})`} />;
}
