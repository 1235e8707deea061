/** Timestamps (RFC 3339) and durations ("1h30m") of CEL, exact to the nanosecond. */
import { Duration, Timestamp } from "./values.js";

const second = 1_000_000_000n;
const millisecond = 1_000_000n;
const minTimestamp = -62_135_596_800n * second;
const maxTimestamp = 253_402_300_800n * second - 1n;
const maxDuration = 315_576_000_000n * second;
const maxIntNanos = 2n ** 63n - 1n;
const unitNanos: Readonly<Record<string, bigint>> = {
  h: 3600n * second,
  m: 60n * second,
  s: second,
  ms: millisecond,
  us: 1000n,
  ns: 1n,
};
const timestampGrammar = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;
const durationGrammar = /^-?(?:\d{1,18}(?:\.\d{1,18})?(?:h|ms|m|s|us|ns))+$/;
const offsetGrammar = /^([+-]?)(\d\d):(\d\d)$/;

/** Returns the timestamp, or undefined if it is not between the years 1 and 9999. */
export function timestampOf(nanos: bigint): Timestamp | undefined {
  return nanos < minTimestamp || nanos > maxTimestamp ? undefined : new Timestamp(nanos);
}

export function timestampOfMs(unixMs: number): Timestamp | undefined {
  return Number.isFinite(unixMs) ? timestampOf(BigInt(Math.floor(unixMs)) * millisecond) : undefined;
}

/** Returns the duration, or undefined if it exceeds 10,000 years or 64 bits of nanoseconds. */
export function durationOf(nanos: bigint): Duration | undefined {
  const size = nanos < 0n ? -nanos : nanos;
  return size > maxDuration || size > maxIntNanos ? undefined : new Duration(nanos);
}

/**
 * Parses an RFC 3339 timestamp in upper case. Returns undefined if the text is none, or if the day or time does not
 * exist.
 */
export function parseTimestamp(text: string): Timestamp | undefined {
  const found = timestampGrammar.exec(text);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, seconds] = found.slice(1, 7).map(Number);
  if (year === undefined || month === undefined || day === undefined) return undefined;
  if (hour === undefined || minute === undefined || seconds === undefined) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!exists || hour > 23 || minute > 59 || seconds > 59) return undefined;
  const offset = offsetMinutes(found[8], found[9], found[10]);
  if (offset === undefined) return undefined;
  const wholeSeconds = BigInt(date.getTime() / 1000 + hour * 3600 + (minute - offset) * 60 + seconds);
  return timestampOf(wholeSeconds * second + BigInt((found[7] ?? "").padEnd(9, "0")));
}

export function renderTimestamp({ nanos }: Timestamp): string {
  const text = dateOf(nanos, 0).toISOString();
  return `${text.slice(0, 19)}${renderFraction(floorModulo(nanos, second))}Z`;
}

/** Parses "1h30m", "1.5s" or "-2ms". Returns undefined if the text is no duration or the duration is too long. */
export function parseDuration(text: string): Duration | undefined {
  if (text.length > 100 || !durationGrammar.test(text)) return text === "0" ? new Duration(0n) : undefined;
  let nanos = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of text.matchAll(/(\d+)(?:\.(\d+))?([a-z]+)/g)) {
    const size = unitNanos[unit] ?? 0n;
    nanos += BigInt(whole) * size + (BigInt(`0${fraction}`) * size) / 10n ** BigInt(fraction.length);
  }
  return durationOf(text.startsWith("-") ? -nanos : nanos);
}

/** Renders a duration in seconds: "5400s", "1.500s". */
export function renderDuration({ nanos }: Duration): string {
  const size = nanos < 0n ? -nanos : nanos;
  return `${nanos < 0n ? "-" : ""}${size / second}${renderFraction(size % second)}s`;
}

/**
 * Parses an offset to minutes east of UTC. Names of time zones are refused, because their offsets come from the
 * machine's own tables, which differ.
 */
export function parseOffset(text: string): number | undefined {
  if (text === "UTC" || text === "Z") return 0;
  const found = offsetGrammar.exec(text);
  return found === null ? undefined : offsetMinutes(found[1] === "" ? "+" : found[1], found[2], found[3]);
}

/** The getters of a timestamp, by the names of CEL's methods; the date has the offset applied. */
export const timestampFields: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) => {
    const start = new Date(0);
    start.setUTCFullYear(date.getUTCFullYear(), 0, 1);
    return Math.floor((date.getTime() - start.getTime()) / 86_400_000);
  },
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};

/**
 * The getters of a duration: whole hours, minutes and seconds of all of it, and the milliseconds of its last second.
 */
export const durationFields: Readonly<Record<string, (nanos: bigint) => bigint>> = {
  getHours: (nanos) => nanos / (3600n * second),
  getMinutes: (nanos) => nanos / (60n * second),
  getSeconds: (nanos) => nanos / second,
  getMilliseconds: (nanos) => (nanos % second) / millisecond,
};

/** Returns a date whose UTC fields are those of the timestamp at the offset. */
export function dateOf(nanos: bigint, offset: number): Date {
  return new Date(Number((nanos - floorModulo(nanos, millisecond)) / millisecond) + offset * 60_000);
}

export function wholeSeconds(nanos: bigint): bigint {
  return (nanos - floorModulo(nanos, second)) / second;
}

function offsetMinutes(sign = "+", hours = "00", minutes = "00"): number | undefined {
  if (Number(hours) > 23 || Number(minutes) > 59) return undefined;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}

function floorModulo(value: bigint, divisor: bigint): bigint {
  const rest = value % divisor;
  return rest < 0n ? rest + divisor : rest;
}

function renderFraction(nanos: bigint): string {
  if (nanos === 0n) return "";
  const digits = nanos.toString().padStart(9, "0");
  return `.${digits.endsWith("000000") ? digits.slice(0, 3) : digits.endsWith("000") ? digits.slice(0, 6) : digits}`;
}
