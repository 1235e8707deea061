/** Lays out beside the page: with hundreds of services that takes longer than a page may stand still. */
import { layOut } from "./layout.js";
import type { Box, Link } from "./shapes.js";

interface Asked {
  readonly boxes: readonly Box[];
  readonly links: readonly Link[];
  readonly narrow: boolean;
}

self.onmessage = ({ data: { boxes, links, narrow } }: MessageEvent<Asked>) => {
  postMessage(layOut(boxes, links, narrow));
};
