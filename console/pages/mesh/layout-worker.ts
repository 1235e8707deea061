/** Lays out beside the page: with hundreds of services that takes longer than a page may stand still. */
import { layOut } from "./layout.js";
import type { Box, Link } from "./shapes.js";

self.onmessage = ({ data }: MessageEvent<{ readonly boxes: readonly Box[]; readonly links: readonly Link[] }>) => {
  postMessage(layOut(data.boxes, data.links));
};
