/**
 * Signs heads of the audit log at intervals and when the control plane stops. A signed head is an entry of the log
 * itself.
 */
import { buildSpiffeId, type SpiffeId } from "../../core/identity.js";
import type { Signer } from "../../core/signature.js";
import { signAuditHead } from "../../core/wire/audit-head.js";
import type { Clock } from "../../runtime/clock.js";
import type { Authority } from "../identity/authority.js";
import type { AuditLog } from "./audit-log.js";

export interface AuditHeadsDeps {
  readonly mesh: string;
  /** The control plane's identity in entries. */
  readonly actor: SpiffeId;
  readonly log: Pick<AuditLog, "head" | "record">;
  readonly signer: Signer;
  readonly clock: Clock;
}

/** The number of entries after which a head is signed. */
export const headEntries = 100;
/** The milliseconds after a head at which the next one is signed, if there were entries since. */
export const headEveryMs = 10 * 60_000;
const lookEveryMs = 5000;

/** Signs heads until `signal` aborts, and then a last one; resolves when that is recorded. */
export async function runAuditHeads(deps: AuditHeadsDeps, signal: AbortSignal): Promise<void> {
  const { log, clock } = deps;
  let signed = log.head()?.sequence ?? 0;
  let signedMs = clock.monotonicMs();
  for (;;) {
    await clock.sleep(lookEveryMs, signal);
    const head = log.head();
    const isNews = head !== undefined && head.action !== "head";
    const isDue = clock.monotonicMs() - signedMs >= headEveryMs || (head?.sequence ?? 0) - signed >= headEntries;
    if (head !== undefined && isNews && (isDue || signal.aborted)) {
      await sign(deps, head);
      signed = head.sequence;
      signedMs = clock.monotonicMs();
    }
    if (signal.aborted) return;
  }
}

async function sign(
  { mesh, actor, log, signer, clock }: AuditHeadsDeps,
  head: NonNullable<ReturnType<AuditLog["head"]>>,
) {
  const { sequence, digest: entry } = head;
  const bytes = signAuditHead({ sequence, entry, timeMs: clock.nowMs() }, mesh, signer);
  const detail = Buffer.from(bytes).toString("latin1");
  await log.record({ actor, source: "", action: "head", target: `entry ${sequence}`, outcome: "ok", detail });
}

/** Starts signing heads of the audit log. Returns a function that signs a last head and stops. */
export function signHeads(
  { authority, clock }: { readonly authority: Pick<Authority, "mesh" | "name" | "signer">; readonly clock: Clock },
  log: AuditLog,
): () => Promise<void> {
  const { mesh, name, signer } = authority;
  const stop = new AbortController();
  const actor = buildSpiffeId(mesh, "control-plane", name);
  const signing = runAuditHeads({ mesh, actor, log, signer, clock }, stop.signal);
  return () => {
    stop.abort();
    return signing;
  };
}
