/** Computes the layout in a worker. With hundreds of services that would block the page for too long. */
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
