/**
 * Replaces the key that signs records: a successor is trusted beside it, the active state is activated again under the
 * successor, and only then the old key may be dropped. What it signed before stays authentic, because a record of a
 * successor leads to it; what it signs afterwards is refused everywhere.
 */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import type { Activation, Signed, SigningKey, Trust } from "../../core/model.js";
import { isUnderway, revisionInForce, revisionsOf } from "../../core/rollout/cohort.js";
import { dropSigning, succeedSigning } from "../../core/trust.js";
import type { Clock } from "../../runtime/clock.js";
import { commitActivation } from "../activate/commit.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { Ledger } from "../store/ledger.js";
import { Mutex } from "../store/mutex.js";
import { appendTrust, requireTrust } from "./append-trust.js";

export interface SigningKeyRotationDeps {
  readonly authority: Pick<Authority, "mesh" | "name" | "holdsRoot" | "rootSigner" | "signer" | "signing">;
  readonly ledger: Ledger;
  /** Fails with `stale` while the logs are behind what was signed before. */
  readonly beforeSigning?: () => Promise<void>;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

export interface Rotated {
  readonly kid: string;
  readonly previousKid: string;
  readonly trustSequence: number;
  /** The epoch that runs the active state under the new key; 0: nothing is active yet. */
  readonly epoch: number;
}

export interface TrustedKey {
  readonly key: SigningKey;
  /** True if this control plane signs with the key. */
  readonly inUse: boolean;
  /** True if the key signed the activation in force. */
  readonly signedActive: boolean;
  /** Why the key may not be dropped now; undefined: it may be. */
  readonly keptBecause: string | undefined;
}

export interface SigningKeyRotation {
  /**
   * Signs with a new key from now on, or completes a rotation that a crash cut short. Fails with `denied` if this
   * control plane does not hold the root key, and with `stale` while a rollout runs or the key before the one in use is
   * still trusted.
   */
  rotate(reason: string, caller: OperatorCaller): Promise<Rotated>;
  /**
   * Removes a key from the trust log. Fails with `denied` if this control plane does not hold the root key, with
   * `not_found`, and with `stale` if the head of a log would no longer be authentic.
   */
  drop(kid: string, reason: string, caller: OperatorCaller): Promise<Signed<Trust>>;
  /** Returns the trust record in force, and its keys. */
  show(): { readonly trust: Signed<Trust>; readonly keys: readonly TrustedKey[] };
}

const commitAttemptsMax = 8;

export function createSigningKeyRotation(deps: SigningKeyRotationDeps): SigningKeyRotation {
  const { authority, ledger, audit, clock } = deps;
  const mutex = new Mutex();
  return {
    rotate: (reason, caller) =>
      audited(
        audit,
        { action: "trust", target: `signing key of ${authority.name}`, caller, detail: reason },
        () => mutex.run(() => rotate(deps, reason, caller)),
        ({ kid, previousKid }) => ({ detail: `${kid} after ${previousKid}${because(reason)}` }),
      ),
    drop: (kid, reason, caller) =>
      audited(
        audit,
        { action: "trust", target: `signing key ${kid.slice(0, 64)}`, caller, detail: reason },
        async () => {
          requireRoot(deps);
          const { trust } = await appendTrust(deps, (head) => {
            const next = dropSigning(head, kid, clock.nowMs());
            const why = whyKept(deps, kid);
            if (why !== undefined) throw new AshlarError("stale", `${kid} is not dropped: ${why}`);
            return next;
          });
          return trust;
        },
        () => ({ detail: `dropped${because(reason)}` }),
      ),
    show() {
      const trust = requireTrust(ledger);
      const active = ledger.activations.head();
      const keys = trust.body.signingKeys.map((key) => ({
        key,
        inUse: key.kid === authority.signer.kid,
        signedActive: key.kid === active?.kid,
        keptBecause: isOnlyOne(trust, key) ? "its control plane has no other" : whyKept(deps, key.kid),
      }));
      return { trust, keys };
    },
  };
}

async function rotate(deps: SigningKeyRotationDeps, reason: string, caller: OperatorCaller): Promise<Rotated> {
  const { authority, ledger, clock } = deps;
  const { signing, signer } = authority;
  requireRoot(deps);
  refuseDuringRollout(ledger.activations.head());
  await deps.beforeSigning?.();
  const before = findPredecessor(requireTrust(ledger), deps);
  if (before !== undefined && !signing.hasSuccessor) {
    if (ledger.activations.head()?.kid !== before)
      throw new AshlarError("stale", `${before}, the key before this one, is still trusted: drop it first`);
    return { ...(await reactivate(deps, before, reason, caller)), trustSequence: requireTrust(ledger).body.sequence };
  }
  const previousKid = signer.kid;
  const next = signing.successor();
  const { trust } = await appendTrust(deps, (head) => succeedSigning(head, next, clock.nowMs()));
  signing.useSuccessor();
  return { ...(await reactivate(deps, previousKid, reason, caller)), trustSequence: trust.body.sequence };
}

/** Returns the other trusted key of this control plane. */
function findPredecessor({ body }: Signed<Trust>, { authority }: SigningKeyRotationDeps): string | undefined {
  return body.signingKeys.find(({ kid, holder }) => holder === authority.name && kid !== authority.signer.kid)?.kid;
}

/** Activates the active state again with the key in use, if `previousKid` signed it; nothing else changes. */
async function reactivate(
  deps: SigningKeyRotationDeps,
  previousKid: string,
  reason: string,
  caller: OperatorCaller,
): Promise<Omit<Rotated, "trustSequence">> {
  const { authority, ledger, clock } = deps;
  const { mesh, signer } = authority;
  for (let attempt = 1; ; attempt += 1) {
    const head = ledger.activations.head();
    const epoch = head?.body.epoch ?? 0;
    if (head === undefined || head.kid !== previousKid) return { kid: signer.kid, previousKid, epoch };
    const { number, digest } = revisionInForce(head.body);
    refuseDuringRollout(head);
    try {
      const next = await commitActivation({ mesh, ledger, signer, clock }, head, {
        revisionNumber: number,
        revisionDigest: digest,
        author: caller.id,
        rollbackOf: undefined,
        reason: `under a new signing key${because(reason)}`,
        forced: false,
        thresholdPercent: 0,
        rollout: undefined,
        shadow: head.body.shadow,
      });
      return { kid: signer.kid, previousKid, epoch: next.body.epoch };
    } catch (error) {
      if (!isAshlarError(error, "conflict") || attempt >= commitAttemptsMax) throw error;
    }
  }
}

/**
 * Returns why a key cannot be dropped: the head of each log must be authentic without it, signed by another key or
 * named by an activation.
 */
function whyKept({ authority, ledger }: SigningKeyRotationDeps, kid: string): string | undefined {
  const { revisions, activations, rollouts } = ledger;
  if (kid === authority.signer.kid) return "this control plane signs with it: `ashlar trust rotate` replaces it";
  const active = activations.head();
  if (active?.kid === kid)
    return `it signed epoch ${active.body.epoch}, which is in force: rotate, or activate, under another key first`;
  const named = new Set(activations.list().flatMap(({ body }) => namedBy(body)));
  const revision = revisions.head();
  if (revision?.kid === kid && !named.has(revision.digest))
    return `it signed revision ${revision.body.number}, the newest, which was never active: activate it, or publish another first`;
  const plan = rollouts.head();
  if (plan?.kid === kid && !named.has(plan.digest))
    return `it signed the plan of rollout ${plan.body.number}, the newest, which never began: begin another first`;
  return undefined;
}

function namedBy(body: Activation): readonly string[] {
  const plan = body.rollout === undefined ? [] : [body.rollout.digest];
  return [...revisionsOf(body).map(({ digest }) => digest), ...plan];
}

function isOnlyOne({ body }: Signed<Trust>, { kid, holder }: SigningKey): boolean {
  return !body.signingKeys.some((other) => other.holder === holder && other.kid !== kid);
}

function refuseDuringRollout(head: Signed<Activation> | undefined): void {
  if (head === undefined || !isUnderway(head.body)) return;
  throw new AshlarError(
    "stale",
    `rollout ${head.body.rollout?.number} runs, and its epochs say who evaluates what: wait for it, or end it with \`ashlar rollout abort\``,
  );
}

function requireRoot({ authority }: SigningKeyRotationDeps): void {
  if (authority.holdsRoot) return;
  throw new AshlarError("denied", "only the control plane that began the mesh changes trust: ask that one");
}

function because(reason: string): string {
  return reason === "" ? "" : `: ${reason}`;
}
