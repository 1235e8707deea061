/** Draws a line of the picture, with its figures. */
import { memo } from "preact/compat";
import { renderMs, renderRate, renderShare } from "../../format/amounts.js";
import { pathOf } from "./paths.js";
import type { Box, Point } from "./shapes.js";
import type { MeshEdge } from "./topology.js";
import type { Drawn } from "./use-layout.js";

interface EdgeProps {
  readonly edge: MeshEdge;
  readonly drawn: Drawn;
  readonly className: string;
  readonly words: boolean;
  /** How the called service's route splits its calls. Empty: it does not split them. */
  readonly split: string;
}

/** A memoised line: it is rendered again only if something that it shows has changed. */
export const Edge = memo(EdgeLine, (before, after) => {
  if (before.className !== after.className || before.words !== after.words || before.drawn !== after.drawn)
    return false;
  const [was, is] = [before.edge.figures, after.edge.figures];
  if (after.words && before.split !== after.split) return false;
  if (after.words) return was.rate === is.rate && was.success === is.success && was.p99Ms === is.p99Ms;
  return widthOf(was.rate) === widthOf(is.rate);
});

/** Returns the width of a line in pixels, in steps of half a pixel. Busier lines are wider. */
const widthOf = (rate: number): number =>
  rate > 0 ? 1.5 + Math.min(8, Math.round(Math.log10(1 + rate) * 2.6)) / 2 : 1.2;

function EdgeLine({ edge, drawn, className, words, split }: EdgeProps) {
  const { places, ways, words: rooms } = drawn.layout;
  const [from, to] = [places[edge.from], places[edge.to]];
  const [left, right] = [drawn.boxes[edge.from], drawn.boxes[edge.to]];
  if (from === undefined || to === undefined || left === undefined || right === undefined) return null;
  const path = edge.from === edge.to ? loopOf(from, left) : pathOf(ways[edge.id], from, to, [left.width, right.width]);
  const middle = rooms[edge.id] ?? { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const { figures } = edge;
  return (
    <g class={className} data-edge={edge.id}>
      <path class="reach" d={path} />
      <path class="line" d={path} stroke-width={widthOf(figures.rate)} />
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
          p99 {renderMs(figures.p99Ms)}
        </text>
      )}
      {words && figures.rate > 0 && split !== "" && (
        <text class="edge-words split-words" x={middle.x} y={middle.y + 25} text-anchor="middle">
          {split}
        </text>
      )}
    </g>
  );
}

function loopOf({ x, y }: Point, { width, height }: Box): string {
  const top = y - height / 2;
  return `M${x + width / 4} ${top}c0 -44 ${width / 3} -44 ${width / 3} ${height / 3}`;
}
