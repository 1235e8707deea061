/** The one grammar of durations, for policy files, command-line options, settings and the holds of rollout stages. */

const unitsMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
type DurationUnit = keyof typeof unitsMs;

/** A regular expression for durations, for the JSON Schema that editors use. */
export const durationPattern = "^[0-9]{1,12}(\\.[0-9]{1,3})?(ms|s|m|h|d)$";

/**
 * Returns the words for "what was expected" in a message; `bounds` is a text such as "at most 24h" or "from 10s to
 * 24h".
 */
export function expectedDuration(bounds = ""): string {
  return `a duration such as 500ms, 10s or 5m${bounds === "" ? "" : `, ${bounds}`}`;
}

/**
 * Parses "500ms", "2s", "1.5m", "1h" or "7d" to milliseconds. Returns undefined if the text is no duration or no whole
 * number of milliseconds.
 */
export function parseDurationMs(text: string): number | undefined {
  const match = /^([0-9]{1,12}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  const [, amount = "", unit = "ms"] = match;
  const thousandths = Math.round(Number(amount) * 1000); // three decimals at most, so this is exact
  const durationMs = (thousandths * unitsMs[unit as DurationUnit]) / 1000;
  return Number.isSafeInteger(durationMs) ? durationMs : undefined;
}

/**
 * Parses a duration of an option or a setting. A plain number counts as milliseconds, because earlier versions took
 * that.
 */
export function parseOptionMs(text: string): number | undefined {
  return parseDurationMs(/^[0-9]{1,12}$/.test(text) ? `${text}ms` : text);
}

/**
 * Renders `durationMs`, a whole number of milliseconds, as the shortest text in hours, minutes, seconds or
 * milliseconds.
 */
export function renderDuration(durationMs: number): string {
  for (const unit of ["h", "m", "s"] as const) {
    if (durationMs > 0 && durationMs % unitsMs[unit] === 0) return `${durationMs / unitsMs[unit]}${unit}`;
  }
  return `${durationMs}ms`;
}
