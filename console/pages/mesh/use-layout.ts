/** Computes the layout of the picture, again only when a box or link was added or removed. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { packColumns, packedAbove } from "./pack.js";
import type { Box, Layout, Link } from "./shapes.js";
import type { MeshNode, Topology } from "./topology.js";

/** The URL of the worker's file with its hash. The build defines it. */
declare const LAYOUT_WORKER: string;

export function boxOf(node: MeshNode, packed: boolean): Box {
  if (packed) return { id: node.id, width: 148, height: 40 };
  return { id: node.id, width: 184, height: node.versions.length === 0 ? 50 : 56 + node.versions.length * 18 };
}

export interface Drawn {
  readonly layout: Layout;
  readonly boxes: Readonly<Record<string, Box>>;
  readonly packed: boolean;
}

/** Returns the newest layout. undefined until the first one is ready. */
export function useLayout(topology: Topology | undefined): Drawn | undefined {
  const [drawn, setDrawn] = useState<Drawn>();
  const packed = (topology?.nodes.length ?? 0) > packedAbove;
  const boxes = useMemo(() => topology?.nodes.map((node) => boxOf(node, packed)) ?? [], [topology, packed]);
  const links = useMemo<readonly Link[]>(
    () => topology?.edges.map(({ id, from, to }) => ({ id, from, to })) ?? [],
    [topology],
  );
  const narrow = useNarrow();
  const key = useMemo(() => JSON.stringify([narrow, boxes, links.map(({ id }) => id).sort()]), [narrow, boxes, links]);
  useEffect(() => {
    if (boxes.length === 0) return;
    const draw = (layout: Layout): void =>
      setDrawn({ layout, boxes: Object.fromEntries(boxes.map((box) => [box.id, box])), packed });
    // Packed columns of 200 boxes take a few milliseconds, and a worker takes longer than that to start.
    if (packed) return draw(packColumns(boxes, links));
    const worker = new Worker(LAYOUT_WORKER, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Layout>) => {
      draw(data);
      worker.terminate();
    };
    worker.postMessage({ boxes, links, narrow });
    return () => worker.terminate();
  }, [key]);
  return drawn;
}

/** Whether the window is as narrow as a phone, where only two boxes beside each other can be read. */
function useNarrow(): boolean {
  const [query] = useState(() => matchMedia("(max-width: 640px)"));
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const changed = (): void => setNarrow(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [query]);
  return narrow;
}
