/** Renders times for people, in their own time zone. */
import { renderMs } from "./amounts.js";

const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric" });

/** The largest distance from 1970 that a Date can have, in milliseconds. */
const timeMsMax = 8.64e15;
const isTime = (timeMs: number): boolean => timeMs > 0 && timeMs <= timeMsMax;

/** Renders "29 Nov 2026, 10:41:07". */
export const renderTime = (timeMs: number): string => (isTime(timeMs) ? full.format(timeMs) : "never");

/** Renders "10:41:07". */
export const renderClock = (timeMs: number): string => (isTime(timeMs) ? clock.format(timeMs) : "never");

/** Renders "Sun, 29 Nov 2026". */
export const renderDay = (timeMs: number): string => (isTime(timeMs) ? day.format(timeMs) : "no day");

/** Renders "just now", "12 s ago", "in 3 h". */
export function renderAgo(timeMs: number, nowMs: number): string {
  if (!isTime(timeMs)) return "never";
  const ageMs = nowMs - timeMs;
  if (Math.abs(ageMs) < 1000) return "just now";
  return ageMs > 0 ? `${renderWhole(ageMs)} ago` : `in ${renderWhole(-ageMs)}`;
}

function renderWhole(ms: number): string {
  return ms < 60_000 ? `${Math.floor(ms / 1000)} s` : renderMs(ms);
}
