/** Reads what was removed from the beginning of a journal. */
import { AshlarError } from "../../core/errors.js";
import type { LetGo } from "../../core/journal/journal-log.js";
import type { KeySet } from "../../core/signature.js";
import { everyBucket, type JournalLetGo, verifyLetGo } from "../../core/wire/journal/let-go.js";
import { journalStream, journalSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";

export interface ReadLetGo {
  readonly all: LetGo;
  /** The last record of a removal, and its bytes. */
  readonly record: JournalLetGo;
  readonly bytes: Uint8Array;
}

/**
 * Returns what was removed; undefined: nothing was. Fails with `invalid_record` if a record does not verify, and with
 * `unavailable`.
 */
export async function readLetGo(
  bus: Pick<Bus, "leaderGet">,
  service: string,
  mesh: string,
  keys: KeySet,
): Promise<ReadLetGo | undefined> {
  const read = async (bucket: string): Promise<{ body: JournalLetGo; bytes: Uint8Array } | undefined> => {
    const subject = journalSubject(service, "letgo", bucket);
    const message = await bus.leaderGet(journalStream(service), { lastOf: subject });
    if (message === undefined) return undefined;
    const { body } = verifyLetGo(message.data, mesh, keys);
    if (body.service !== service || body.bucket !== bucket)
      throw new AshlarError("invalid_record", `the journal of ${service}: what was let go is said of another one`);
    return { body, bytes: message.data };
  };
  const last = await read(everyBucket);
  if (last === undefined) return undefined;
  const heads = new Map<string, number>();
  for (const bucket of last.body.buckets) {
    const found = await read(bucket);
    if (found?.body.through !== last.body.through)
      throw new AshlarError(
        "invalid_record",
        `the journal of ${service}: heads of ${bucket} that were let go are missing`,
      );
    for (const [key, sequence] of found.body.heads) heads.set(key, sequence);
  }
  return { all: { through: last.body.through, heads }, record: last.body, bytes: last.bytes };
}
