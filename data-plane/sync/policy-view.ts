/** The policy that is evaluated, and what is known of the logs. */
import type { PolicyView } from "../ports.js";
import type { SyncLoop } from "./sync-loop.js";
import { currentRejection } from "./sync-problems.js";

/** The running loop as the rest of the proxy asks it. */
export function createPolicyView(loop: SyncLoop): PolicyView {
  return {
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
    get seenActivation() {
      const { activations, saved } = loop.state;
      return activations.heads.find((head) => saved.digests.includes(head.digest))?.digest;
    },
    onSwitch: (listener) => listen(loop.switchListeners, listener),
    useService: (service) => loop.units.use(service),
    hearOfEpoch: (epoch, peer) => loop.hints.hear(epoch, peer),
  };
}

/** Adds a listener; returns the way to remove it. */
export function listen<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
