/** Describes the problems of a log for people. */
import type { MissingRange } from "./log-history.js";

export interface LogTroubles {
  readonly name: string;
  /** Why records were refused. */
  readonly refused: readonly string[];
  /** The number of records signed by keys that are not trusted; `former`: by keys that are no longer trusted. */
  readonly unknown: number;
  readonly former: number;
  readonly missing: readonly MissingRange[];
  /** The number of records that do not lead to any known record. */
  readonly loose: number;
}

const shownMax = 10;

/** Returns the problems, one line each. */
export function renderLogProblems(troubles: LogTroubles): string[] {
  const { name, refused, unknown, former, missing, loose } = troubles;
  const problems: string[] = [];
  const why = refused.at(-1);
  if (why !== undefined)
    problems.push(`${name}: ${refused.length} record(s) do not hold and are skipped; the last: ${why}`);
  if (unknown > 0) problems.push(`${name}: ${unknown} record(s) are skipped, signed by keys that are not trusted`);
  if (former > 0) problems.push(`${name}: ${former} record(s) are skipped, signed by keys that are trusted no more`);
  if (missing.length > 0) problems.push(`${name}: ${renderMissing(missing)} lost; the log goes on without`);
  if (loose > 0) problems.push(`${name}: ${loose} record(s) do not follow from what came before and are skipped`);
  return problems;
}

/** "1 to 4 and 7 are". */
function renderMissing(missing: readonly MissingRange[]): string {
  const ranges = missing.slice(0, shownMax).map(({ from, to }) => (from === to ? `${from}` : `${from} to ${to}`));
  if (missing.length > shownMax) ranges.push("more");
  const [last = "", ...others] = ranges.reverse();
  const text = others.length === 0 ? last : `${others.reverse().join(", ")} and ${last}`;
  const [only] = missing;
  return `${text} ${missing.length === 1 && only?.from === only?.to ? "is" : "are"}`;
}
