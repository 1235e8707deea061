/** The audit log as it is in the stream, page by page, for verification elsewhere. */
import { AshlarError } from "../../core/errors.js";
import { auditStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";

export interface AuditPage {
  /** The entries of the page, oldest first. */
  readonly entries: readonly Uint8Array[];
  /** The position after which the next page begins. */
  readonly position: number;
  /** True if this was the last page when it was read. */
  readonly isLast: boolean;
}

const pageEntriesMax = 512;
const pageBytesMax = 2 * 1024 * 1024;
const readAhead = 16;

/** Returns the page after `position` (0: the first page). Fails with `unavailable` while NATS is away. */
export async function readAuditPage(bus: Bus, position: number): Promise<AuditPage> {
  if (!Number.isSafeInteger(position) || position < 0)
    throw new AshlarError("invalid_argument", `position: not one of a page: ${position}`);
  const info = await bus.streamInfo(auditStream);
  if (info === undefined) throw new AshlarError("unavailable", `stream ${auditStream} is gone`);
  const until = Math.min(info.lastSequence, position + pageEntriesMax);
  const entries: Uint8Array[] = [];
  let [at, bytes] = [position, 0];
  while (at < until && bytes < pageBytesMax) {
    const [first, count] = [at + 1, Math.min(readAhead, until - at)];
    const messages = await Promise.all(
      Array.from({ length: count }, (_, i) => bus.leaderGet(auditStream, { sequence: first + i })),
    );
    for (const message of messages) {
      if (message === undefined || message.relayed) continue; // a relayed message was not published by a control plane
      entries.push(message.data);
      bytes += message.data.length;
    }
    at += count;
  }
  return { entries, position: at, isLast: at >= info.lastSequence };
}
