/**
 * Computes how much of a disk the bounded streams of a private NATS may take, so that the mesh's own logs find room.
 * Pure.
 */
import type { StreamBounds } from "../store/streams.js";

const mebibyte = 1024 * 1024;

/**
 * What bounded streams leave free for the logs, units, their copies and the copy of the audit log, which have no bound.
 */
const reserveBytes = { min: 16 * mebibyte, max: 1024 * mebibyte, share: 1 / 10 };
/** A stream's files take up to this factor times the bytes of its messages, while blocks are rewritten. */
const overhead = 1.25;
const shares: StreamBounds = { decisions: 1 / 2, endpoints: 1 / 4, audit: 1 / 4 };
/**
 * The smallest bounds, however small the disk is: room for 64 batches of two proxies, the endpoints of a thousand, and
 * a thousand entries.
 */
const smallest: StreamBounds = { decisions: 4 * mebibyte, endpoints: 1 * mebibyte, audit: 1 * mebibyte };
/** The least that the audit log and the endpoints may still grow, because they belong to the mesh itself. */
const headroomBytes = 1 * mebibyte;
/** A bound is changed if it is off by at least this share, because each change writes to the disk. */
const changeShare = 1 / 5;

const names = ["decisions", "endpoints", "audit"] as const satisfies readonly (keyof StreamBounds)[];

export interface DiskUse {
  /** The bytes that an unprivileged process may still write there. */
  readonly freeBytes: number;
  /** The bytes that the bounded streams hold. */
  readonly stored: StreamBounds;
  /** The bytes that they may hold where there is room. */
  readonly wanted: StreamBounds;
}

/** Returns the bytes that must be free where a mesh begins, or where one continues whose streams exist already. */
export function neededBytes(isNew: boolean): number {
  const streams = names.reduce((sum, name) => sum + smallest[name], 0);
  return isNew ? reserveBytes.min + Math.ceil(streams * overhead) : 4 * mebibyte;
}

/** Below this many free bytes an operator is told. */
export const lowBytes = reserveBytes.min / 2;

/**
 * Returns what is reserved for the logs on a disk with this many bytes free, including those of the bounded streams.
 */
function reserveOf(freeBytes: number): number {
  return Math.min(reserveBytes.max, Math.max(reserveBytes.min, Math.floor(freeBytes * reserveBytes.share)));
}

/**
 * Returns the bounds that fit: shares of what is free or held by these streams, without the reserve. A bound is never
 * lower than what is stored, so a new bound drops no message, except those of a proxy that holds far more than its
 * quarter of the decisions. If others fill the disk, decisions stop growing first.
 */
export function fitBounds({ freeBytes, stored, wanted }: DiskUse): StreamBounds {
  const held = names.reduce((sum, name) => sum + stored[name], 0);
  const room = Math.max(0, freeBytes + held - reserveOf(freeBytes + held)) / overhead;
  const share = sharesOf(room, stored);
  const boundOf = (name: keyof StreamBounds): number => {
    const least = stored[name] + (name === "decisions" ? 0 : headroomBytes);
    const bytes = Math.max(smallest[name], least, Math.min(wanted[name], share[name]));
    return Math.ceil(bytes / mebibyte) * mebibyte;
  };
  return { decisions: boundOf("decisions"), endpoints: boundOf("endpoints"), audit: boundOf("audit") };
}

/** Divides the room. A stream that holds more than its share keeps what it holds, and the others share the rest. */
function sharesOf(room: number, stored: StreamBounds): StreamBounds {
  const fixed = new Set<keyof StreamBounds>();
  for (;;) {
    const open = names.filter((name) => !fixed.has(name));
    const rest = [...fixed].reduce((left, name) => left - stored[name], room);
    const whole = open.reduce((sum, name) => sum + shares[name], 0);
    const shareOf = (name: keyof StreamBounds): number =>
      fixed.has(name) ? stored[name] : Math.max(0, rest) * (shares[name] / whole);
    const over = open.find((name) => stored[name] > shareOf(name));
    if (over === undefined)
      return { decisions: shareOf("decisions"), endpoints: shareOf("endpoints"), audit: shareOf("audit") };
    fixed.add(over);
  }
}

/** Returns whether bounds are far enough from what fits to be changed. */
export function isOff(now: StreamBounds, fitting: StreamBounds): boolean {
  return names.some((name) => Math.abs(now[name] - fitting[name]) > now[name] * changeShare);
}

/** Renders bytes: "23.4 MiB (24536678 bytes)". */
export function renderBytes(bytes: number): string {
  return `${(bytes / mebibyte).toFixed(1)} MiB (${bytes} bytes)`;
}
