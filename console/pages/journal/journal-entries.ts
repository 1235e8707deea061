/** Prepares entries of the write journal for the page. */
import type { JournalEntryInfo } from "../../api/record-messages.js";
import { renderCode, type Tone, toneOfCode } from "../../format/codes.js";

export interface EntryState {
  readonly word: string;
  readonly tone: Tone;
  readonly why: string;
}

/** Returns the state of a write in one word, with the reason. */
export function stateOfEntry({ valid, settled, code }: JournalEntryInfo): EntryState {
  if (!valid) return { word: "void", tone: "plain", why: "It lost the race of its order key and was never forwarded." };
  if (!settled)
    return { word: "outcome unknown", tone: "warn", why: "Nobody knows yet whether the application applied it." };
  return { word: renderCode(code), tone: toneOfCode(code), why: "" };
}

export interface JournalFilter {
  readonly search: string;
  /** The wanted state: "settled", "unresolved", "void", or "" for all. */
  readonly state: string;
}

/** Returns the entries that fit, newest first. */
export function filterJournal(
  entries: readonly JournalEntryInfo[],
  filter: JournalFilter,
): readonly JournalEntryInfo[] {
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  return entries
    .filter((entry) => {
      if (filter.state === "void" && entry.valid) return false;
      if (filter.state === "unresolved" && (!entry.valid || entry.settled)) return false;
      if (filter.state === "settled" && !entry.settled) return false;
      const { service, sequence, principal, user, method, key, order, proxyId, decision } = entry;
      const text = `${service} ${sequence} ${principal} ${user} ${method} ${key} ${order} ${proxyId} ${decision} ${stateOfEntry(entry).word}`;
      return words.every((word) => text.toLowerCase().includes(word));
    })
    .toSorted((a, b) => b.timeMs - a.timeMs || b.sequence - a.sequence);
}

export interface Frames {
  /** The length of each message, in bytes. */
  readonly lengths: readonly number[];
  /** The first bytes in hexadecimal and as text, a fixed number per line. */
  readonly dump: string;
  readonly cut: boolean;
}

const dumpedMax = 1024;
const perLine = 16;

/** Reads messages as gRPC frames them (a flag, four bytes of length, the message). */
export function readFrames(bytes: Uint8Array): Frames {
  const lengths: number[] = [];
  for (let place = 0; place + 5 <= bytes.length; ) {
    const length =
      (bytes[place + 1] ?? 0) * 2 ** 24 +
      ((bytes[place + 2] ?? 0) << 16) +
      ((bytes[place + 3] ?? 0) << 8) +
      (bytes[place + 4] ?? 0);
    lengths.push(length);
    place += 5 + length;
  }
  const lines: string[] = [];
  for (let place = 0; place < Math.min(bytes.length, dumpedMax); place += perLine) {
    const row = [...bytes.subarray(place, place + perLine)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${place.toString(16).padStart(4, "0")}  ${hex.padEnd(perLine * 3 - 1)}  ${text}`);
  }
  return { lengths, dump: lines.join("\n"), cut: bytes.length > dumpedMax };
}
