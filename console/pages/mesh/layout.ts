/** Where nodes stand and how edges run, from left (who calls) to right (who is called). */

import { layout as dagreLayout, Graph } from "@dagrejs/dagre";
import { packColumns } from "./pack.js";
import type { Box, Layout, Link, Point } from "./shapes.js";

const margin = 48;
/** With more boxes than this they stand in packed columns, and lines run straight between them. */
export const packedAbove = 60;
/** The room that a line's words take. */
const wordsSize = { width: 104, height: 48, labelpos: "c" };

export function layOut(boxes: readonly Box[], links: readonly Link[]): Layout {
  if (boxes.length > packedAbove) return packColumns(boxes, links);
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: "LR", nodesep: 26, ranksep: 34, edgesep: 18, marginx: margin, marginy: margin });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of boxes) graph.setNode(id, { width, height });
  const known = new Set(boxes.map(({ id }) => id));
  const drawn = links.filter(({ from, to }) => from !== to && known.has(from) && known.has(to));
  for (const { from, to } of drawn) graph.setEdge(from, to, { ...wordsSize });
  dagreLayout(graph);
  const places: Record<string, Point> = {};
  for (const { id } of boxes) {
    const { x, y } = graph.node(id) as Point;
    places[id] = { x, y };
  }
  const ways: Record<string, readonly Point[]> = {};
  const words: Record<string, Point> = {};
  for (const { id, from, to } of drawn) {
    const { points, x, y } = graph.edge(from, to) as {
      readonly points?: readonly Point[];
      readonly x?: number;
      readonly y?: number;
    };
    ways[id] = (points ?? []).map((point) => ({ x: point.x, y: point.y }));
    if (x !== undefined && y !== undefined) words[id] = { x, y };
  }
  const { width = 0, height = 0 } = graph.graph() as { readonly width?: number; readonly height?: number };
  return { places, ways, words, width, height };
}

/** The path of a link as SVG writes it: along its way, or in one curve from the right of a box to the left of another. */
export function pathOf(
  way: readonly Point[] | undefined,
  from: Point,
  to: Point,
  widths: readonly [number, number],
): string {
  if (way !== undefined && way.length > 1) return alongPoints(way);
  const start = { x: from.x + widths[0] / 2, y: from.y };
  const end = { x: to.x - widths[1] / 2, y: to.y };
  const bend = Math.max(40, Math.abs(end.x - start.x) / 2);
  return `M${n(start.x)} ${n(start.y)}C${n(start.x + bend)} ${n(start.y)} ${n(end.x - bend)} ${n(end.y)} ${n(end.x)} ${n(end.y)}`;
}

/** A smooth line: through the middles between points, bent by the points. */
function alongPoints(points: readonly Point[]): string {
  const [first = { x: 0, y: 0 }] = points;
  const last = points.at(-1) ?? first;
  let path = `M${n(first.x)} ${n(first.y)}`;
  for (let i = 1; i < points.length - 1; i++) {
    const here = points[i] ?? last;
    const next = points[i + 1] ?? last;
    const end = i === points.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    path += `Q${n(here.x)} ${n(here.y)} ${n(end.x)} ${n(end.y)}`;
  }
  return points.length === 2 ? `${path}L${n(last.x)} ${n(last.y)}` : path;
}

const n = (value: number): string => String(Math.round(value * 10) / 10);
