/** What a rollout changes, for tests that are about something else: whatever comes in to any service. */
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
  return { compare: async () => calls, find: () => calls };
}

/** Those calls as all of one method that comes in to `service`. */
export function inbound(counts: CallCounts, service = "payments", method = "shop.Payments/Charge"): CallCounts {
  return { ...counts, methods: [{ ...counts, outbound: false, service, method }] };
}
