/** Finds the name that was probably meant: the nearest one by edit distance, if any is near. */
function findNearest(text: string, names: Iterable<string>): string | undefined {
  const wanted = text.slice(0, 256).toLowerCase();
  let limit = Math.max(1, Math.floor(wanted.length / 3));
  let nearest: string | undefined;
  for (const name of names) {
    if (Math.abs(name.length - wanted.length) > limit) continue;
    const distance = editDistance(wanted, name.toLowerCase(), limit);
    if (distance > limit || (nearest !== undefined && distance === limit)) continue;
    nearest = name;
    limit = distance;
    if (distance === 0) break;
  }
  return nearest;
}

/** Returns "; did you mean …?", or "" if no name is near. */
export function renderNearest(text: string, names: Iterable<string>): string {
  const nearest = findNearest(text, names);
  return nearest === undefined ? "" : `; did you mean ${JSON.stringify(nearest)}?`;
}

/**
 * Returns the number of insertions, deletions, replacements and swaps of neighbours between two texts, or `limit` + 1
 * if there are more than `limit`.
 */
function editDistance(a: string, b: string, limit: number): number {
  let twoBefore: number[] = [];
  let before = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    let least = row;
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        (before[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (before[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, (twoBefore[column - 2] ?? 0) + 1);
      current.push(cost);
      least = Math.min(least, cost);
    }
    if (least > limit) return limit + 1;
    twoBefore = before;
    before = current;
  }
  return before[b.length] ?? limit + 1;
}
