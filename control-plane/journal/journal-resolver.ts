/** Records an operator's statement about a write whose outcome is not known. */
import { AshlarError } from "../../core/errors.js";
import { journalKey } from "../../core/journal/journal-key.js";
import type { Signer } from "../../core/signature.js";
import { type JournalResolution, signResolution } from "../../core/wire/journal/resolution.js";
import { journalSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { JournalReader, ReadEntry } from "./journal-reader.js";

export interface JournalResolverDeps {
  readonly mesh: string;
  readonly bus: Pick<Bus, "append">;
  readonly journalReader: Pick<JournalReader, "read">;
  readonly signer: Signer;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

export interface ResolveOptions extends Pick<JournalResolution, "service" | "outcome" | "code" | "message" | "reason"> {
  /** The sequence of the entry that the statement is about. */
  readonly sequence: number;
}

/** The milliseconds after which a stored write is no longer under way, unless its caller still waits. */
export const underWayMs = 60_000;

/**
 * Appends a resolution, records it in the audit log, and returns its sequence. Fails with `not_found`, and with `stale`
 * if the entry is void, settled, or may still be under way. If an outcome reaches the log first after all, the outcome
 * counts.
 */
export function resolveEntry(
  deps: JournalResolverDeps,
  options: ResolveOptions,
  caller: OperatorCaller,
): Promise<number> {
  const { service, sequence, outcome, code, reason } = options;
  return audited(
    deps.audit,
    {
      action: "resolve",
      target: `${service} entry ${sequence}`,
      caller,
      detail: `${outcome}, code ${code}: ${reason}`,
    },
    () => resolve(deps, options, caller),
  );
}

async function resolve(deps: JournalResolverDeps, options: ResolveOptions, caller: OperatorCaller): Promise<number> {
  const { service, sequence, ...said } = options;
  if (said.reason.trim() === "") throw new AshlarError("invalid_argument", "reason: say how you found out");
  const { entries } = await deps.journalReader.read(service);
  const found = entries.find(({ judged }) => judged.sequence === sequence);
  if (found === undefined)
    throw new AshlarError("not_found", `the journal of ${service} has no entry ${sequence} that its proxy signed`);
  checkOpen(found, service, deps.clock.nowMs());
  const { entry, digest } = found;
  const body = {
    service,
    entry: sequence,
    entryDigest: digest,
    ...said,
    operator: caller.id,
    timeMs: deps.clock.nowMs(),
  };
  const { bytes } = signResolution(body, deps.mesh, deps.signer);
  return deps.bus.append(journalSubject(service, "resolution", journalKey(entry)), bytes);
}

function checkOpen({ judged, entry, storedMs }: ReadEntry, service: string, nowMs: number): void {
  const which = `entry ${judged.sequence} of ${service}`;
  if (!judged.isValid)
    throw new AshlarError("stale", `${which} is void: it was never forwarded, and nobody waits for it`);
  if (judged.settledBy !== 0)
    throw new AshlarError("stale", `${which} is settled by ${judged.settledBy}: the first word about an entry counts`);
  const untilMs = Math.max(storedMs + underWayMs, entry.deadlineMs);
  if (nowMs < untilMs)
    throw new AshlarError(
      "stale",
      `${which} may still be under way: try again in ${Math.ceil((untilMs - nowMs) / 1000)} s`,
    );
}
