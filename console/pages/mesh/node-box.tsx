/** Draws a box of the picture: a service with its versions, a gateway, or a destination outside the mesh. */
import { memo } from "preact/compat";
import { renderRate, renderShare } from "../../format/amounts.js";
import { clip, shortIdentity } from "../../format/names.js";
import type { Chosen } from "./chosen.js";
import type { Box, Point } from "./shapes.js";
import type { MeshNode } from "./topology.js";

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

export const NodeBox = memo(NodeShape, (before, after) => {
  if (before.className !== after.className || before.box !== after.box || before.place !== after.place) return false;
  const [was, is] = [before.node, after.node];
  const alike = was.unhealthy === is.unhealthy && was.instances === is.instances && was.outRate > 0 === is.outRate > 0;
  return (
    alike && (after.packed || (was.rate === is.rate && JSON.stringify(was.versions) === JSON.stringify(is.versions)))
  );
});

function NodeShape({ node, box, place, packed, className, onChoose }: NodeProps) {
  const name = shortIdentity(node.id).replace(/^gateway\//, "");
  // A service that nobody calls needs no instance: its application calls others through its proxy.
  const callsOnly = node.instances === 0 && node.outRate > 0;
  const lack = node.kind === "service" && node.instances === 0 && !callsOnly;
  const health = callsOnly ? "calls" : lack ? "none" : node.unhealthy > 0 ? "some" : "all";
  const choose = (): void => onChoose({ kind: "node", id: node.id });
  return (
    // biome-ignore lint/a11y/useSemanticElements: a box inside a picture cannot be a button element
    <g
      class={className}
      transform={`translate(${place.x - box.width / 2} ${place.y - box.height / 2})`}
      role="button"
      tabindex={0}
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
                  ? callsOnly
                    ? `${renderRate(node.outRate)} out`
                    : "no calls"
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
}

function KindSign({ kind, y }: { readonly kind: MeshNode["kind"]; readonly y: number }) {
  const path =
    kind === "gateway"
      ? "M9 -5v10M9 0h9M15 -3l3 3-3 3"
      : kind === "egress"
        ? "M18 -5v10M9 0h9M14 -3l4 3-4 3"
        : "M9 0h9";
  return <path class="sign" d={path} transform={`translate(0 ${y})`} />;
}
