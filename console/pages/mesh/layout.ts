/**
 * Places boxes and lines: callers to the left and called services to the right, or on a narrow screen from top to
 * bottom.
 */

import { layout as dagreLayout, Graph } from "@dagrejs/dagre";
import type { Box, Layout, Link, Point } from "./shapes.js";

const margin = 48;
/** The space that a line's text takes, in pixels. */
const wordsSize = { width: 104, height: 48, labelpos: "c" };

/** The margin on a narrow screen, which has no space for a wider one. */
const narrowMargin = 14;

export function layOut(boxes: readonly Box[], links: readonly Link[], narrow = false): Layout {
  const graph = new Graph({ multigraph: false });
  const marginx = narrow ? narrowMargin : margin;
  const rankdir = narrow ? "TB" : "LR";
  graph.setGraph({ rankdir, nodesep: 26, ranksep: 34, edgesep: 18, marginx, marginy: margin });
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
