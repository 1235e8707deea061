import { parseDurationMs } from "../core/duration.js";
import { AshlarError } from "../core/errors.js";

// RFC 3339 5.6: the offset is mandatory, so that a time means the same on every machine
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

/**
 * Returns the time that `text` means, in Unix milliseconds: an RFC 3339 time, or a duration before `nowMs` ("2h ago",
 * "2h"). Fails with `invalid_argument` on anything else and on times in the future.
 */
export function parsePointInTime(text: string, nowMs: number): number {
  const trimmed = text.trim();
  const ago = trimmed.replace(/\s+ago$/, "");
  const agoMs = parseDurationMs(ago); // a plain number is refused, because it could be meant as a year
  if (agoMs !== undefined) return Math.max(1, nowMs - agoMs);
  const timeMs = rfc3339.test(trimmed) ? Date.parse(trimmed.replace(" ", "T").toUpperCase()) : Number.NaN;
  if (Number.isNaN(timeMs) || timeMs < 1) {
    const expected = "expected a time such as 2026-01-31T09:30:00Z, or how long ago, such as 2h";
    throw new AshlarError("invalid_argument", `${expected}, got ${JSON.stringify(text)}`);
  }
  if (timeMs > nowMs) throw new AshlarError("invalid_argument", `${trimmed} is still to come`);
  return timeMs;
}
