/** What is wrong with a log, for people. */
import type { MissingRange } from "./log-history.js";

export interface LogTroubles {
  readonly name: string;
  /** Why records do not hold. */
  readonly refused: readonly string[];
  /** How many records are signed by keys that are not trusted, and by keys that are trusted no more. */
  readonly unknown: number;
  readonly former: number;
  readonly missing: readonly MissingRange[];
  /** How many records lead to nothing that is known. */
  readonly loose: number;
}

const shownMax = 10;

/** One line each. */
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
