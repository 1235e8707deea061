/** Finds parts of the important revisions that are in no store: after a loss, what no proxy held either. */
import { AshlarError } from "../../core/errors.js";
import type { Revision, Signed, SnapshotList } from "../../core/model.js";
import { revisionsOf } from "../../core/rollout/cohort.js";
import { parseSnapshotList } from "../../core/wire/units.js";
import type { Ledger } from "../store/ledger.js";

const revisionsMax = 8;
const namedMax = 20;

/**
 * Returns one line for each incomplete revision among the active and the newest ones; empty: all are complete. Fails
 * with `unavailable`.
 */
export async function findLostParts({
  revisions,
  activations,
  blobs,
}: Pick<Ledger, "revisions" | "activations" | "blobs">): Promise<readonly string[]> {
  const head = activations.head();
  const active = head === undefined ? [] : revisionsOf(head.body);
  const lines: string[] = [];
  const wanted = new Map<number, Signed<Revision> | undefined>(
    revisions
      .list()
      .slice(-revisionsMax)
      .map((revision) => [revision.body.number, revision]),
  );
  for (const { number } of active) wanted.set(number, revisions.find(number));
  for (const [number, revision] of [...wanted].sort(([a], [b]) => b - a)) {
    const lost = revision === undefined ? "its record is" : await lostOf(revision, blobs);
    if (lost !== undefined)
      lines.push(
        `revision ${number}: ${lost} lost, and no proxy that runs gave it back; proxies that hold it go on with it`,
      );
  }
  return lines;
}

async function lostOf({ body }: Signed<Revision>, blobs: Ledger["blobs"]): Promise<string | undefined> {
  const bytes = await blobs.get(body.snapshot);
  if (bytes === undefined) return "the list of its units is";
  const names: string[] = [];
  for (const { name, digest } of readList(bytes, body).units) {
    if (!blobs.has(digest) && (await blobs.get(digest)) === undefined) names.push(name);
  }
  if (names.length === 0) return undefined;
  const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : "";
  return `the policy of ${names.slice(0, namedMax).join(", ")}${more} is`;
}

function readList(bytes: Uint8Array, { number, snapshot }: Revision): SnapshotList {
  try {
    return parseSnapshotList(bytes, snapshot);
  } catch (cause) {
    throw new AshlarError("invalid_record", `revision ${number}: the list of its units does not hold`, { cause });
  }
}
