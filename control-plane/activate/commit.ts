/** The only function that appends an activation to the log. */
import { mayActivate } from "../../core/activation.js";
import { AshlarError } from "../../core/errors.js";
import type { Activation, Signed } from "../../core/model.js";
import type { Signer } from "../../core/signature.js";
import { signActivation } from "../../core/wire/records.js";
import type { Clock } from "../../runtime/clock.js";
import type { Ledger } from "../store/ledger.js";

export interface CommitDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "activations">;
  readonly signer: Signer;
  readonly clock: Clock;
  /**
   * Waits while proxies have seen more of the log than this control plane, as they have when another control plane was
   * first a moment ago; fails with `stale` if the log does not catch up.
   */
  readonly beforeSigning?: () => Promise<void>;
}

/** Signs and appends the activation after `head`; fails with `conflict` if the log has advanced meanwhile. */
export async function commitActivation(
  deps: CommitDeps,
  head: Signed<Activation> | undefined,
  what: Omit<Activation, "epoch" | "previous" | "timeMs">,
): Promise<Signed<Activation>> {
  const { activations } = deps.ledger;
  await deps.beforeSigning?.();
  const body: Activation = {
    ...what,
    epoch: (head?.body.epoch ?? 0) + 1,
    previous: head?.digest,
    timeMs: deps.clock.nowMs(),
  };
  const present = activations.head();
  if (!mayActivate(present, body)) {
    const at =
      present === undefined
        ? "empty again"
        : `at epoch ${present.body.epoch}, revision ${present.body.revisionNumber}, by ${present.body.author}`;
    throw new AshlarError("conflict", `somebody else was first: the activation log is ${at}; look again and repeat`);
  }
  const next = signActivation(body, deps.mesh, deps.signer);
  await activations.append(next);
  return next;
}
