/**
 * Two records with the same number that both verify: in which log, what each is, and which proxy has which (decision
 * 0031).
 */
import type { Digest } from "../../core/digest.js";
import type { Activation, Heartbeat, Revision, Signed, Trust } from "../../core/model.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import { type OfferedLog, offeredLogs } from "../../core/wire/offers.js";
import type { Problem } from "../fleet/problems.js";
import type { Ledger } from "../store/ledger.js";

/** One of the two records, for people. */
export interface ConflictSide {
  readonly digest: Digest;
  /** Its author, time and message. */
  readonly what: string;
}

export interface NamedConflict {
  readonly log: OfferedLog;
  readonly key: number;
  readonly held: ConflictSide;
  readonly rival: ConflictSide;
}

/** The word for the number of a record, by log. */
export const recordWords: Readonly<Record<OfferedLog, string>> = {
  trust: "trust record",
  activations: "epoch",
  revisions: "revision",
  rollouts: "rollout",
};
const namedMax = 5;
const textMax = 100;

/** Returns all conflicts that nobody has decided. */
export function findConflicts(ledger: Pick<Ledger, OfferedLog>): readonly NamedConflict[] {
  return offeredLogs.flatMap((log) =>
    ledger[log].conflicts().map(({ key, held, rival }) => ({ log, key, held: sideOf(held), rival: sideOf(rival) })),
  );
}

function sideOf({ digest, body }: Signed<Activation | Revision | Rollout | Trust>): ConflictSide {
  return { digest, what: `${renderBody(body)}${new Date(body.timeMs).toISOString()}` };
}

function renderBody(body: Activation | Revision | Rollout | Trust): string {
  if ("revocations" in body) return `${body.signingKeys.length} keys, ${body.revocations.length} revocations, `;
  const said = "message" in body ? body.message : body.reason;
  const line = said.split("\n", 1)[0]?.slice(0, textMax) ?? "";
  const runs = "revisionNumber" in body ? `revision ${body.revisionNumber}, ` : "";
  return `${runs}by ${body.author}${line === "" ? "" : `, ${JSON.stringify(line)}`}, `;
}

/** Says why nothing is signed for the log. */
export function renderConflict({ log, key, held, rival }: NamedConflict): string {
  return (
    `two records of ${recordWords[log]} ${key} were signed: ${held.digest} (${held.what}) is in this log, ` +
    `${rival.digest} (${rival.what}) is not. One of them was acknowledged and lost; nothing is signed for this log until ` +
    "an operator chooses one: `ashlar recover DIGEST -m REASON`"
  );
}

/** Returns the conflicts as problems for `status`, with which proxy has which record by its last heartbeat. */
export function conflictProblems(
  conflicts: readonly NamedConflict[],
  heartbeats: readonly Heartbeat[],
): readonly Problem[] {
  const at = ({ digest }: ConflictSide) =>
    `${digest.slice(0, 12)} is seen at ${renderSome(heartbeats.filter((one) => names(one, digest)))}`;
  return conflicts.map((conflict) => {
    const { log, key, held, rival } = conflict;
    const message = `${renderConflict(conflict)}. ${at(held)}; ${at(rival)}`;
    return { code: "record-conflict", message, subject: `${recordWords[log]} ${key}` };
  });
}

function names({ seenActivation, evaluatingDigest, prepared }: Heartbeat, digest: Digest): boolean {
  return seenActivation === digest || evaluatingDigest === digest || prepared.some((one) => one.digest === digest);
}

function renderSome(heartbeats: readonly Heartbeat[]): string {
  const ids = heartbeats.slice(0, namedMax).map(({ proxyId }) => proxyId);
  const more = heartbeats.length > namedMax ? ` and ${heartbeats.length - namedMax} more` : "";
  return ids.length === 0 ? "no proxy that is heard" : `${ids.join(", ")}${more}`;
}
