/** Filters the audit log. */
import type { AuditEntry } from "../../api/record-messages.js";
import type { Tone } from "../../format/codes.js";

export interface AuditFilter {
  readonly search: string;
  readonly action: string;
  readonly actor: string;
  /** The wanted outcome: "ok", "refused", or "" for both. */
  readonly outcome: string;
}

/** Returns the entries that fit, newest first. */
export function filterAudit(entries: readonly AuditEntry[], filter: AuditFilter): readonly AuditEntry[] {
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  return entries
    .filter((entry) => {
      if (filter.action !== "" && entry.action !== filter.action) return false;
      if (filter.actor !== "" && entry.actor !== filter.actor) return false;
      if (filter.outcome === "ok" && entry.outcome !== "ok") return false;
      if (filter.outcome === "refused" && entry.outcome === "ok") return false;
      const text = `${entry.sequence} ${entry.actor} ${entry.action} ${entry.target} ${entry.outcome} ${detailOf(entry)} ${entry.source}`;
      return words.every((word) => text.toLowerCase().includes(word));
    })
    .toReversed();
}

/** Returns the further text of an entry. Nobody can read a signed record, so it is only named as one. */
export function detailOf({ action, detail }: AuditEntry): string {
  if (action === "head") return "a signature over all entries before it";
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(detail) ? "a signed record" : detail;
}

export function toneOfEntry({ outcome, action }: AuditEntry): Tone {
  if (outcome !== "ok") return "bad";
  return ["activate", "rollback", "publish"].includes(action) ? "accent" : "plain";
}

/** Returns the values that a filter offers, sorted. */
export const valuesOf = (entries: readonly AuditEntry[], field: "action" | "actor"): readonly string[] =>
  [...new Set(entries.map((entry) => entry[field]))].filter((value) => value !== "").sort();
