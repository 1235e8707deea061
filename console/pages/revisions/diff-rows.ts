/** Turns a text diff into rows with two sides. */

export interface Side {
  readonly line: number;
  readonly text: string;
}

export interface DiffRow {
  readonly kind: "same" | "changed" | "removed" | "added";
  readonly before: Side | undefined;
  readonly after: Side | undefined;
}

/** A run of omitted rows that are the same on both sides. */
export interface Gap {
  readonly kind: "gap";
  readonly rows: readonly DiffRow[];
}

/** Builds rows from lines that begin with " ", "-" or "+". Removed lines stand beside the lines that replace them. */
export function buildDiffRows(lines: readonly string[]): readonly DiffRow[] {
  const rows: DiffRow[] = [];
  let removed: Side[] = [];
  let added: Side[] = [];
  let before = 0;
  let after = 0;
  const flush = (): void => {
    for (let i = 0; i < Math.max(removed.length, added.length); i++) {
      const [left, right] = [removed[i], added[i]];
      rows.push({ kind: left && right ? "changed" : left ? "removed" : "added", before: left, after: right });
    }
    removed = [];
    added = [];
  };
  for (const line of lines) {
    const text = line.slice(1);
    if (line.startsWith("-")) removed.push({ line: ++before, text });
    else if (line.startsWith("+")) added.push({ line: ++after, text });
    else {
      flush();
      rows.push({ kind: "same", before: { line: ++before, text }, after: { line: ++after, text } });
    }
  }
  flush();
  return rows;
}

/** Leaves out rows that are the same on both sides, except `around` rows before and after each difference. */
export function foldRows(rows: readonly DiffRow[], around: number): readonly (DiffRow | Gap)[] {
  const near = rows.map((_, index) =>
    rows.slice(Math.max(0, index - around), index + around + 1).some(({ kind }) => kind !== "same"),
  );
  const folded: (DiffRow | Gap)[] = [];
  let hidden: DiffRow[] = [];
  const flush = (): void => {
    // A gap of one row would take as much room as the row.
    if (hidden.length === 1 && hidden[0] !== undefined) folded.push(hidden[0]);
    else if (hidden.length > 1) folded.push({ kind: "gap", rows: hidden });
    hidden = [];
  };
  rows.forEach((row, index) => {
    if (near[index] === true) {
      flush();
      folded.push(row);
    } else hidden.push(row);
  });
  flush();
  return folded;
}
