/**
 * Draws a revision's mark. Masons cut a mark into each stone, so that anybody could see whose it was. A revision's mark
 * is made of strokes on a grid of 4 by 4 points, chosen by its digest. Two revisions of one mesh almost never have the
 * same mark.
 */

const points = 4;
/** The strokes that a mark may have. Each joins two neighbours on the left half and is mirrored. */
const strokes = buildStrokes();

interface Stroke {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
}

function buildStrokes(): readonly Stroke[] {
  const found: Stroke[] = [];
  const steps = [
    [1, 0],
    [0, 1],
    [1, 1],
    [1, -1],
  ] as const;
  for (let y = 0; y < points; y++) {
    for (let x = 0; x < points / 2; x++) {
      for (const [dx, dy] of steps) {
        if (y + dy < 0 || y + dy >= points || x + dx >= points) continue;
        found.push({ from: [x, y], to: [x + dx, y + dy] });
      }
    }
  }
  return found;
}

const place = (point: number): number => 4 + point * (16 / (points - 1));
const format = (value: number): string => String(Math.round(value * 100) / 100);

/** Returns the SVG path of a mark in a box of 24 by 24. Empty if `digest` is not a digest. */
export function markOf(digest: string): string {
  if (!/^[0-9a-f]{16,}$/i.test(digest)) return "";
  const path: string[] = [];
  // An order of the strokes by the digest; the first five make the mark.
  const ranked = strokes
    .map((stroke, index) => ({ stroke, rank: rankOf(digest, index) }))
    .sort((a, b) => a.rank - b.rank || strokes.indexOf(a.stroke) - strokes.indexOf(b.stroke));
  for (const { stroke } of ranked.slice(0, 5)) {
    path.push(line(stroke.from, stroke.to), line(mirror(stroke.from), mirror(stroke.to)));
  }
  return path.join("");
}

const mirror = ([x, y]: readonly [number, number]): readonly [number, number] => [points - 1 - x, y];

function line([ax, ay]: readonly [number, number], [bx, by]: readonly [number, number]): string {
  return `M${format(place(ax))} ${format(place(ay))}L${format(place(bx))} ${format(place(by))}`;
}

/** Mixes the whole digest with the stroke's index (FNV-1a, 32 bits). */
function rankOf(digest: string, index: number): number {
  let hash = 0x811c9dc5 ^ (index * 0x9e3779b1);
  for (let i = 0; i < digest.length; i++) {
    hash ^= digest.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}
