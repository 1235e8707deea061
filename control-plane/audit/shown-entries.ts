/** The newest entries of the audit log, kept in memory for listing. Pure. */
import { type Digest, digestOf } from "../../core/digest.js";
import { type AuditEntry, parseAuditEntry } from "../../core/wire/audit.js";
import type { AuditList, AuditQuery } from "./audit-trail.js";

/** The most entries that are kept. */
export const shownMax = 10_000;

interface Known {
  readonly entry: AuditEntry;
  readonly digest: Digest;
}

export class ShownEntries {
  #known: Known[] = [];
  /** The digests of `#known`: after a lost stream was filled again, the own file has its entries twice. */
  #digests = new Set<Digest>();
  /** The number of entries that could not be parsed so far; the chain does not hold then. */
  unreadable = 0;

  /** The newest entry. */
  get head(): Known | undefined {
    return this.#known.at(-1);
  }

  /**
   * Adds the next entry of the chain; one that is known stays in its place. Fails with `invalid_record` if it cannot be
   * parsed.
   */
  add(bytes: Uint8Array): AuditEntry {
    try {
      const entry = parseAuditEntry(bytes);
      const digest = digestOf(bytes);
      if (!this.#digests.has(digest)) this.#push({ entry, digest });
      return entry;
    } catch (error) {
      this.unreadable += 1;
      throw error;
    }
  }

  #push(next: Known): void {
    this.#known.push(next);
    this.#digests.add(next.digest);
    if (this.#known.length <= shownMax * 1.25) return;
    this.#known = this.#known.slice(-shownMax);
    this.#digests = new Set(this.#known.map(({ digest }) => digest));
  }

  /**
   * Returns the entries that `query` asks for, and whether their chain holds, including the link to the entry before
   * them.
   */
  list({ sinceMs, limit }: AuditQuery): AuditList {
    const listed = this.#known.filter(({ entry }) => entry.timeMs >= sinceMs).slice(-Math.min(limit, shownMax));
    const [first, last] = [listed[0], listed.at(-1)];
    const from = first === undefined ? 0 : this.#known.indexOf(first);
    const until = last === undefined ? 0 : this.#known.indexOf(last) + 1;
    const chainHolds = this.unreadable === 0 && holds(this.#known.slice(Math.max(0, from - 1), until));
    return { entries: listed.map(({ entry }) => entry), chainHolds };
  }
}

/** Returns whether each entry follows the one before. */
function holds(known: readonly Known[]): boolean {
  return known.every(({ entry }, index) => {
    const before = known[index - 1];
    if (before === undefined) return entry.sequence > 1 || entry.previous === undefined;
    return entry.sequence === before.entry.sequence + 1 && entry.previous === before.digest;
  });
}
