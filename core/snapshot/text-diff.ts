/** The most lines for which a diff is computed; of longer texts all lines are shown as removed and added. */
const linesMax = 4000;

/** A text diff of two texts that end in newlines: each line begins with " ", "-" or "+". */
export function diffLines(from: string, to: string): string[] {
  const before = linesOf(from);
  const after = linesOf(to);
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (end < shorter && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  return [
    ...before.slice(0, start).map((line) => ` ${line}`),
    ...diffMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map((line) => ` ${line}`),
  ];
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/**
 * Compares lines by their longest common subsequence. That needs a table of rows times columns, so the number of lines
 * is bounded.
 */
function diffMiddle(before: readonly string[], after: readonly string[]): string[] {
  const columns = after.length + 1;
  if (before.length + after.length > linesMax)
    return [...before.map((line) => `-${line}`), ...after.map((line) => `+${line}`)];
  // lengths of the common subsequence of the rests from (row, column) on
  const common = new Uint16Array((before.length + 1) * columns);
  for (let row = before.length - 1; row >= 0; row--) {
    for (let column = after.length - 1; column >= 0; column--) {
      const at = row * columns + column;
      common[at] =
        before[row] === after[column]
          ? (common[at + columns + 1] ?? 0) + 1
          : Math.max(common[at + columns] ?? 0, common[at + 1] ?? 0);
    }
  }
  const lines: string[] = [];
  let row = 0;
  let column = 0;
  while (row < before.length || column < after.length) {
    const at = row * columns + column;
    if (row < before.length && column < after.length && before[row] === after[column]) {
      lines.push(` ${before[row]}`);
      row += 1;
      column += 1;
    } else if (
      row < before.length &&
      (column >= after.length || (common[at + columns] ?? 0) >= (common[at + 1] ?? 0))
    ) {
      lines.push(`-${before[row]}`);
      row += 1;
    } else {
      lines.push(`+${after[column]}`);
      column += 1;
    }
  }
  return lines;
}
