/** Reads what was removed from the beginning of a service's journal. */
import { AshlarError } from "../../core/errors.js";
import type { LetGoOfKey } from "../../core/journal/write-steps.js";
import type { KeySet } from "../../core/signature.js";
import { bucketOf, everyBucket, type JournalLetGo, verifyLetGo } from "../../core/wire/journal/let-go.js";
import { journalSubject } from "../../core/wire/subjects.js";
import type { StoredMessage } from "../../runtime/bus.js";

interface Whose {
  readonly service: string;
  readonly mesh: string;
  readonly keys: KeySet;
}

type LastOf = (subject: string) => Promise<StoredMessage | undefined>;

/**
 * Returns what was removed. Fails with `unavailable` while a part of the statement is missing, and with
 * `invalid_record` or `unauthenticated` if one does not verify.
 */
export async function readLetGo(whose: Whose, key: string, lastOf: LastOf): Promise<LetGoOfKey> {
  const all = await read(whose, everyBucket, lastOf);
  if (all === undefined) return { through: 0, head: 0 };
  const { through, buckets } = all;
  const bucket = bucketOf(key);
  if (!buckets.includes(bucket)) return { through, head: 0 };
  const found = await read(whose, bucket, lastOf);
  if (found === undefined || found.through !== through)
    throw new AshlarError("unavailable", `what was let go of ${whose.service}'s journal is not readable yet`);
  return { through, head: found.heads.get(key) ?? 0 };
}

async function read({ service, mesh, keys }: Whose, bucket: string, lastOf: LastOf): Promise<JournalLetGo | undefined> {
  const message = await lastOf(journalSubject(service, "letgo", bucket));
  if (message === undefined) return undefined;
  const { body } = verifyLetGo(message.data, mesh, keys);
  if (body.service !== service || body.bucket !== bucket)
    throw new AshlarError("invalid_record", `what was let go of ${service}'s journal is another's`);
  return body;
}
