const unitsMs = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
type DurationUnit = keyof typeof unitsMs;

/** What a duration looks like, for editors and for people. */
export const durationPattern = "^[0-9]{1,9}(\\.[0-9]{1,3})?(ms|s|m|h)$";

/** Milliseconds of "2s", "500ms", "1.5m" or "1h"; undefined if it is none or no whole number of milliseconds. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)$/.exec(text);
  if (match === null) return undefined;
  const [, amount = "", unit = "ms"] = match;
  const thousandths = Math.round(Number(amount) * 1000); // three decimals at most, so this is exact
  const durationMs = (thousandths * unitsMs[unit as DurationUnit]) / 1000;
  return Number.isSafeInteger(durationMs) ? durationMs : undefined;
}

/** The shortest text that `parseDurationMs` reads as `durationMs`, a whole number. */
export function renderDuration(durationMs: number): string {
  for (const unit of ["h", "m", "s"] as const) {
    if (durationMs > 0 && durationMs % unitsMs[unit] === 0) return `${durationMs / unitsMs[unit]}${unit}`;
  }
  return `${durationMs}ms`;
}
