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
}

/** Signs and appends the activation after `head`; fails with `conflict` if the log has advanced meanwhile. */
export async function commitActivation(
  deps: CommitDeps,
  head: Signed<Activation> | undefined,
  what: Omit<Activation, "epoch" | "previous" | "timeMs">,
): Promise<Signed<Activation>> {
  const { activations } = deps.ledger;
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
