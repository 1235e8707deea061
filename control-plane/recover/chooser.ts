/**
 * Carries out an operator's choice between two records with the same number. Nothing is rewritten: what was chosen is
 * signed again under a number above both, by the laws that hold for every record, and the log continues (decision
 * 0031).
 */
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Activation, Revision, Signed, Trust } from "../../core/model.js";
import { revisionInForce } from "../../core/rollout/cohort.js";
import type { OfferedLog } from "../../core/wire/offers.js";
import type { Activator } from "../activate/activator.js";
import { type CommitDeps, commitActivation } from "../activate/commit.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { Publisher } from "../publish/publisher.js";
import type { Ledger } from "../store/ledger.js";
import { appendTrust } from "../trust/append-trust.js";
import { findConflicts, recordWords } from "./conflicts.js";

export interface ChooserDeps extends CommitDeps {
  readonly ledger: Ledger;
  readonly authority: Pick<Authority, "mesh" | "holdsRoot" | "rootSigner" | "signer">;
  readonly publisher: Pick<Publisher, "republish">;
  readonly activator: Activator;
  readonly audit: AuditTrail;
}

export interface Chosen {
  readonly log: OfferedLog;
  /** The contested number, epoch or sequence. */
  readonly key: number;
  /** The present head of the log. */
  readonly head: number;
  /** The revision with the chosen policy; 0: a record without policy was chosen. */
  readonly revision: number;
}

export interface Chooser {
  /**
   * Chooses the record with this digest. That settles every conflict of its log; choosing an epoch also settles those
   * of the revisions. Fails with `not_found` if the record contests no number, with `stale` if the policy that it names
   * is missing or proxies have not prepared it, and with `denied` if approvals or the root key are missing.
   */
  choose(digest: string, reason: string, caller: OperatorCaller): Promise<Chosen>;
}

/** The message of a record: an operator's words with a fixed beginning. */
interface Said {
  readonly reason: string;
  readonly caller: OperatorCaller;
}

const reasonBytesMax = 512;

export function createChooser(deps: ChooserDeps): Chooser {
  return {
    choose: (digest, reason, caller) =>
      audited(
        deps.audit,
        { action: "recover", target: digest.slice(0, 64), caller, detail: reason },
        () => choose(deps, digest, { reason, caller }),
        ({ log, key, head, revision }) => ({
          detail: `chosen for ${recordWords[log]} ${key}; now ${recordWords[log]} ${head}${revision === 0 ? "" : `, revision ${revision}`}: ${reason}`,
        }),
      ),
  };
}

async function choose(deps: ChooserDeps, digest: string, said: Said): Promise<Chosen> {
  if (said.reason === "" || Buffer.byteLength(said.reason) > reasonBytesMax)
    throw new AshlarError("invalid_argument", `reason: expected 1 to ${reasonBytesMax} bytes (-m)`);
  const found = findConflicts(deps.ledger).find(({ held, rival }) => held.digest === digest || rival.digest === digest);
  if (found === undefined)
    throw new AshlarError(
      "not_found",
      `no record ${JSON.stringify(digest.slice(0, 64))} contests a number: see \`ashlar status\``,
    );
  const { log, key } = found;
  const chosen = found.held.digest === digest ? found.held.digest : found.rival.digest;
  const { ledger } = deps;
  switch (log) {
    case "trust":
      return { log, key, revision: 0, head: await chooseTrust(deps, chosen) };
    case "revisions": {
      const revision = await ledger.revisions.settle(() => revisionWith(deps, chosen, said));
      return { log, key, revision, head: ledger.revisions.head()?.body.number ?? 0 };
    }
    case "activations":
      return { log, key, ...(await chooseActivation(deps, chosen, said)) };
    case "rollouts":
      await ledger.rollouts.settle(async () => {}); // a plan has no effect unless an activation names it
      return { log, key, revision: 0, head: ledger.rollouts.head()?.body.number ?? 0 };
  }
}

/**
 * Signs a trust record above both that states what the chosen one does, with the revocations of both, because
 * revocations are never taken back. What was added to the log since the held record stays. A rival is not chosen over
 * that, because it would bring dropped keys back.
 */
async function chooseTrust(deps: ChooserDeps, digest: Digest): Promise<number> {
  const { authority, ledger, clock } = deps;
  if (!authority.holdsRoot)
    throw new AshlarError("denied", "only the control plane that began the mesh signs trust records: ask that one");
  const rivals = ledger.trust.conflicts().map(({ rival }) => rival);
  const chosen = rivals.find((rival) => rival.digest === digest)?.body;
  if (chosen !== undefined) checkMayChoose(deps, digest, chosen);
  const { trust } = await ledger.trust.settle(() =>
    appendTrust(deps, (head) => {
      const all = [head, ...rivals].flatMap(({ body }) => body.revocations);
      const bySerial = new Map(all.map((one) => [one.serial, one]));
      const revocations = [...bySerial.values()].sort((a, b) => (a.serial < b.serial ? -1 : 1));
      const next = { sequence: head.body.sequence + 1, previous: head.digest, timeMs: clock.nowMs() };
      return { ...(chosen ?? head.body), ...next, revocations };
    }),
  );
  return trust.body.sequence;
}

function checkMayChoose({ authority, ledger }: ChooserDeps, digest: Digest, { sequence, signingKeys }: Trust): void {
  const head = ledger.trust.head()?.body.sequence ?? 0;
  const why =
    head > sequence
      ? `the trust log has gone on to record ${head}, and ${digest} would undo what it says since ${sequence}`
      : `${digest} does not trust the key that this control plane signs with`;
  if (head <= sequence && signingKeys.some(({ kid }) => kid === authority.signer.kid)) return;
  throw new AshlarError(
    "stale",
    `${why}: choose the other one, then repeat what is missing (\`ashlar trust\`, \`ashlar issuer\`)`,
  );
}

async function chooseActivation(
  deps: ChooserDeps,
  digest: Digest,
  said: Said,
): Promise<Pick<Chosen, "head" | "revision">> {
  const { ledger } = deps;
  const body = signedBody(ledger.activations, digest);
  const wanted = revisionInForce(body).digest;
  const revision = await ledger.revisions.settle(() => revisionWith(deps, wanted, said));
  const record = ledger.revisions.find(revision);
  if (record === undefined) throw new AshlarError("internal", "a revision that was published is not in the log");
  const reason = `${digest} chosen, of two of epoch ${body.epoch}: ${said.reason}`;
  const activation = await ledger.activations.settle(() => activateAgain(deps, record, { ...said, reason }));
  return { head: activation.body.epoch, revision };
}

/** Returns the number of a revision in the log with this policy: its own, or one that is published for it. */
async function revisionWith({ ledger, publisher }: ChooserDeps, digest: Digest, said: Said): Promise<number> {
  const wanted = ledger.revisions.findSigned(digest);
  if (wanted === undefined)
    throw new AshlarError("stale", `revision ${digest} is not here: start a proxy that holds it, and repeat this`);
  const { number } = wanted.body;
  if (ledger.revisions.find(number)?.digest === digest) return number;
  const message = `revision ${number} (${digest}) again, of two of that number: ${said.reason}`;
  return (await publisher.republish(wanted, message, said.caller)).body.number;
}

/**
 * Activates the chosen policy again. What the log has in force already needs no preparation; anything else is activated
 * in the usual way.
 */
async function activateAgain(
  deps: ChooserDeps,
  record: Signed<Revision>,
  { reason, caller }: Said,
): Promise<Signed<Activation>> {
  const head = deps.ledger.activations.head();
  if (head?.body.revisionDigest !== record.digest) {
    const options = { revision: record.body.number, reason, thresholdPercent: 0, prepareTimeoutMs: 0 };
    const expected = { force: false, expectedEpoch: head?.body.epoch ?? 0, endRollout: true };
    return (await deps.activator.activate({ ...options, ...expected }, caller)).activation;
  }
  return commitActivation(deps, head, {
    revisionNumber: record.body.number,
    revisionDigest: record.digest,
    author: caller.id,
    reason,
    rollbackOf: undefined,
    forced: true,
    thresholdPercent: 0,
    rollout: undefined,
  });
}

function signedBody<Body>(log: { findSigned(digest: Digest): Signed<Body> | undefined }, digest: Digest): Body {
  const found = log.findSigned(digest);
  if (found === undefined) throw new AshlarError("conflict", "somebody else has chosen: look again");
  return found.body;
}
