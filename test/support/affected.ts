/** What a rollout changes, for tests of other things: all calls to any service. */
import type { AffectedReader } from "../../control-plane/rollout/affected-reader.js";
import type { CallCounts } from "../../core/model.js";
import type { AffectedCalls } from "../../core/rollout/affected-calls.js";

export const everyCall: AffectedCalls = {
  side: "destination",
  service: undefined,
  methods: ["*"],
  callers: undefined,
  isNew: false,
};

export function affects(...calls: readonly AffectedCalls[]): AffectedReader {
  return { compare: async () => calls, find: () => calls, replicaChanges: async () => [] };
}

/** Returns the same counts as calls of one method to `service`. */
export function inbound(counts: CallCounts, service = "payments", method = "shop.Payments/Charge"): CallCounts {
  return { ...counts, methods: [{ ...counts, outbound: false, service, method }] };
}
