/** Where reads may go direct, and which applications got a certificate for that. */
import type { AdminClient } from "../client.js";
import type { DoctorFacts } from "./examine.js";

/** No certificate of an application lives longer than an hour, and the audit log has an entry in half an hour. */
const livesMs = 5_400_000;
const entriesMax = 10_000;

/** `revision`: the active one; 0: there is none. */
export async function findDirectReads(
  admin: Pick<AdminClient, "getRevision" | "listAudit">,
  revision: number,
  nowMs: number,
): Promise<Pick<DoctorFacts, "directReads" | "readers">> {
  if (revision === 0) return {};
  const { json } = await admin.getRevision({ number: revision, asJson: true });
  const objects = json === "" ? [] : (JSON.parse(json) as readonly Readonly<Record<string, unknown>>[]);
  const directReads = objects
    .filter(({ kind, reads }) => kind === "Journal" && reads === "direct")
    .map(({ service, name }) => ({ service: String(service), journal: String(name) }));
  if (directReads.length === 0) return {};
  const { entries } = await admin.listAudit({ sinceMs: nowMs - livesMs, limit: entriesMax });
  const readers = entries
    .filter(({ action, outcome }) => action === "reader" && outcome === "ok")
    .map(({ target, detail }) => {
      const proxy = /^application of proxy (\S+)$/.exec(target)?.[1] ?? target;
      return `${/^service (\S+),/.exec(detail)?.[1] ?? ""} (${proxy})`;
    });
  return { directReads, readers: [...new Set(readers)].sort() };
}
