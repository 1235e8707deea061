/** Lays out a picture with many boxes in narrow columns, with callers to the left of those they call. */
import type { Box, Layout, Link, Point } from "./shapes.js";

/** A picture with more boxes than this uses packed columns with straight lines between them. */
export const packedAbove = 60;

const margin = 48;
const columnGap = 96;
const rowGap = 14;
/** How much wider than high a packed picture becomes. */
const aspect = 1.7;
const sweeps = 3;

export function packColumns(boxes: readonly Box[], links: readonly Link[]): Layout {
  const width = Math.max(...boxes.map((box) => box.width));
  const height = Math.max(...boxes.map((box) => box.height));
  const rows = Math.max(1, Math.ceil(Math.sqrt((boxes.length * (width + columnGap)) / (height + rowGap) / aspect)));
  const ranks = orderRanks(
    boxes.map(({ id }) => id),
    links,
  );
  const places: Record<string, Point> = {};
  let column = 0;
  let row = 0;
  for (const rank of ranks) {
    // A rank begins a column of its own, unless the one before it filled so little that the two are one to the eye.
    if (row > rows / 3) [column, row] = [column + 1, 0];
    for (const id of rank) {
      if (row === rows) [column, row] = [column + 1, 0];
      places[id] = {
        x: margin + column * (width + columnGap) + width / 2,
        y: margin + row * (height + rowGap) + height / 2,
      };
      row += 1;
    }
  }
  return {
    places,
    ways: {},
    words: {},
    width: margin * 2 + (column + 1) * (width + columnGap) - columnGap,
    height: margin * 2 + rows * (height + rowGap) - rowGap,
  };
}

/** Returns the ranks from left to right. The order in each rank keeps services close that call each other. */
function orderRanks(ids: readonly string[], links: readonly Link[]): readonly (readonly string[])[] {
  const callers = new Map<string, string[]>(ids.map((id) => [id, []]));
  const called = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const { from, to } of links) {
    if (from === to || !callers.has(from) || !callers.has(to)) continue;
    callers.get(to)?.push(from);
    called.get(from)?.push(to);
  }
  const rankOf = findRanks(ids, callers, called);
  const ranks: string[][] = [];
  for (const id of ids) {
    const rank = rankOf.get(id) ?? 0;
    ranks[rank] ??= [];
    ranks[rank].push(id);
  }
  const filled = ranks.filter((rank) => rank.length > 0);
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const neighbours = sweep % 2 === 0 ? callers : called;
    const position = new Map(filled.flatMap((rank) => rank.map((id, index) => [id, index / rank.length] as const)));
    for (const rank of filled) {
      const weight = new Map(
        rank.map((id) => [id, meanOf(neighbours.get(id) ?? [], position) ?? position.get(id) ?? 0]),
      );
      rank.sort((a, b) => (weight.get(a) ?? 0) - (weight.get(b) ?? 0) || (a < b ? -1 : 1));
    }
  }
  return filled;
}

/**
 * Returns for each service how many calls away it is from one that nobody calls, by the shortest way, or, if all are
 * called, from the one that calls most. The longest way would place services that call each other in circles in one
 * long row.
 */
function findRanks(
  ids: readonly string[],
  callers: ReadonlyMap<string, readonly string[]>,
  called: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, number> {
  const ranks = new Map<string, number>();
  const roots = ids.filter((id) => callers.get(id)?.length === 0);
  const busiest = [...ids].sort(
    (a, b) => (called.get(b)?.length ?? 0) - (called.get(a)?.length ?? 0) || (a < b ? -1 : 1),
  );
  for (const root of [...roots, ...busiest]) {
    if (ranks.has(root)) continue;
    ranks.set(root, 0);
    const queue = [root];
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      for (const next of called.get(id) ?? []) {
        if (ranks.has(next)) continue;
        ranks.set(next, (ranks.get(id) ?? 0) + 1);
        queue.push(next);
      }
    }
  }
  return ranks;
}

function meanOf(ids: readonly string[], position: ReadonlyMap<string, number>): number | undefined {
  if (ids.length === 0) return undefined;
  return ids.reduce((sum, id) => sum + (position.get(id) ?? 0), 0) / ids.length;
}
