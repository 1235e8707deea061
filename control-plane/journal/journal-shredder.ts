/** Shreds a subject: erases its data keys, so that nobody can read the private parts about it in journals again. */
import { AshlarError } from "../../core/errors.js";
import { subjectTokenOf } from "../../core/journal/journal-key.js";
import { journalKeyBytesMax } from "../../core/wire/journal/entry.js";
import { journalKeySubject, journalKeysStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { shredPermissions } from "../../runtime/nats-permissions.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { NatsAccess } from "../nats/nats-access.js";

export interface JournalShredderDeps {
  readonly access: Pick<NatsAccess, "bus" | "once">;
  readonly audit: AuditTrail;
}

export interface ShredOptions {
  readonly service: string;
  readonly subject: string;
  readonly reason: string;
  /** Only count the keys, and erase none. */
  readonly dryRun: boolean;
}

/**
 * Erases the data keys of a subject and returns their number. The audit log gets the subject's token and not the
 * subject, which it would keep for ever. Fails with `not_found` if there is no key, and with `unavailable`: some keys
 * may then be erased, and the call must be repeated.
 */
export async function shredSubject(
  deps: JournalShredderDeps,
  { service, subject, reason, dryRun }: ShredOptions,
  caller: OperatorCaller,
  signal: AbortSignal,
): Promise<number> {
  const bytes = Buffer.byteLength(subject);
  if (bytes === 0 || bytes > journalKeyBytesMax)
    throw new AshlarError("invalid_argument", `subject: it has ${bytes} bytes, 1 to ${journalKeyBytesMax} are allowed`);
  const token = subjectTokenOf(service, subject);
  if (dryRun) return (await keysOf(deps.access.bus, service, token)).length;
  if (reason.trim() === "") throw new AshlarError("invalid_argument", "reason: say why");
  const target = `${service} subject ${token}`;
  return audited(deps.audit, { action: "shred", target, caller, detail: reason }, async () => {
    let erased = 0;
    await deps.access.once(
      (inbox) => shredPermissions(service, inbox),
      signal,
      async (bus) => {
        // a proxy may have stored another key meanwhile
        for (let found = await keysOf(deps.access.bus, service, token); found.length > 0; ) {
          for (const sequence of found) await bus.eraseMessage(journalKeysStream(service), sequence);
          erased += found.length;
          found = await keysOf(deps.access.bus, service, token).catch((error: unknown) => {
            if (error instanceof AshlarError && error.code === "not_found") return [];
            throw error;
          });
        }
      },
    );
    return erased;
  });
}

/** Returns the sequences of a subject's data keys. Fails with `not_found` if there are none. */
async function keysOf(bus: Pick<Bus, "streamInfo" | "leaderGet">, service: string, token: string) {
  const stream = journalKeysStream(service);
  if ((await bus.streamInfo(stream)) === undefined)
    throw new AshlarError("not_found", `the journal of ${service} has no private parts`);
  const sequences: number[] = [];
  const nextOf = journalKeySubject(service, token, "*");
  for (let from = 1; ; from = (sequences.at(-1) ?? 0) + 1) {
    const message = await bus.leaderGet(stream, { nextOf, from });
    if (message === undefined) break;
    sequences.push(message.sequence);
  }
  if (sequences.length > 0) return sequences;
  throw new AshlarError(
    "not_found",
    `the journal of ${service} has no data key of this subject: nothing private was written about it, or it was shredded`,
  );
}
