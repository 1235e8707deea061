/** The policy that is evaluated, and what is known of the logs. */
import { isUnderway } from "../../core/rollout/cohort.js";
import { everyCallBasisPoints, type ShadowOrder } from "../../core/shadow/shadow-model.js";
import type { PolicyView, ShadowPolicy } from "../ports.js";
import { HeldPolicy } from "./held-revision.js";
import type { SyncLoop } from "./sync-loop.js";
import { currentRejection } from "./sync-problems.js";

/** Returns the running loop's state as the rest of the proxy reads it. */
export function createPolicyView(loop: SyncLoop): PolicyView {
  const findShadow = shadowFinder(loop);
  return {
    get shadow() {
      const evaluating = loop.state.evaluating?.body;
      return evaluating?.shadow && findShadow(evaluating.epoch, evaluating.shadow);
    },
    get current() {
      return loop.policy;
    },
    get seenEpoch() {
      return loop.state.saved.epoch; // what is on disk: it never goes back, restarts included (I2)
    },
    get prepared() {
      return [...loop.state.prepared].sort((a, b) => b.number - a.number);
    },
    get rejected() {
      const rejection = currentRejection(loop.state);
      return rejection && { number: rejection.number, digest: rejection.digest, reason: rejection.reason };
    },
    get lagMs() {
      return loop.lagMs;
    },
    get freshnessAgeMs() {
      return loop.freshnessAgeMs;
    },
    get trustSequence() {
      return loop.state.saved.sequence;
    },
    get isStaged() {
      const evaluating = loop.state.evaluating?.body;
      return evaluating !== undefined && isUnderway(evaluating);
    },
    get seenActivation() {
      const { activations, saved } = loop.state;
      return activations.heads.find((head) => saved.digests.includes(head.digest))?.digest;
    },
    onSwitch: (listener) => listen(loop.switchListeners, listener),
    useService: (service) => loop.units.use(service),
    hearOfEpoch: (epoch, peer) => loop.hints.hear(epoch, peer),
  };
}

/**
 * Returns the shadow candidate. The object stays the same until the candidate changes, because every call asks for it.
 */
function shadowFinder({ shelf }: Pick<SyncLoop, "shelf">) {
  let last: { readonly policy: HeldPolicy; readonly share: number } | undefined;
  return (epoch: number, { digest, shareBasisPoints }: ShadowOrder): ShadowPolicy | undefined => {
    const held = shelf.find(digest);
    if (held === undefined) return undefined;
    if (last?.policy.held !== held || last.policy.epoch !== epoch)
      last = { policy: new HeldPolicy(epoch, held), share: shareBasisPoints / everyCallBasisPoints };
    return last;
  };
}

/** Adds a listener. Returns a function that removes it. */
export function listen<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
