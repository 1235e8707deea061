/** The parts of activations and heartbeats about a candidate that is evaluated beside the active revision. */
import type { ShadowCounts as ShadowCountsMessage } from "../../proto/gen/ashlar/v1/fleet.js";
import type { ShadowOrder as ShadowOrderMessage } from "../../proto/gen/ashlar/v1/records.js";
import { digestFromBytes } from "../digest.js";
import { everyCallBasisPoints, type ShadowCounts, type ShadowOrder, shadowFlipsMax } from "../shadow/shadow-model.js";
import { boundedList, boundedText, integer } from "./bounds.js";
import { digestToBuffer } from "./record-codec.js";

/** Returns the shadow as it is encoded in an activation. */
export function encodeShadowOrder(order: ShadowOrder): ShadowOrderMessage {
  return { ...order, digest: digestToBuffer(order.digest) };
}

/** Parses a shadow order. Fails with `invalid_record`. */
export function parseShadowOrder(message: ShadowOrderMessage): ShadowOrder {
  return {
    number: integer("shadow.number", message.number, 1),
    digest: digestFromBytes(message.digest),
    shareBasisPoints: integer("shadow.share_basis_points", message.shareBasisPoints, 1, everyCallBasisPoints),
  };
}

/** Returns the counts as they are encoded in a heartbeat. */
export function encodeShadowCounts(counts: ShadowCounts): ShadowCountsMessage {
  return { ...counts, digest: digestToBuffer(counts.digest), flips: counts.flips.map((flip) => ({ ...flip })) };
}

/** Parses shadow counts. Fails with `invalid_record`. */
export function parseShadowCounts(message: ShadowCountsMessage): ShadowCounts {
  return {
    epoch: integer("shadow.epoch", message.epoch, 1),
    digest: digestFromBytes(message.digest),
    same: integer("shadow.same", message.same, 0),
    wouldDeny: integer("shadow.would_deny", message.wouldDeny, 0),
    wouldAllow: integer("shadow.would_allow", message.wouldAllow, 0),
    errors: integer("shadow.errors", message.errors, 0),
    flips: boundedList("shadow.flips", message.flips, shadowFlipsMax).map((flip) => ({
      caller: boundedText("shadow.flips.caller", flip.caller, 2048),
      method: boundedText("shadow.flips.method", flip.method, 2048),
      wouldDeny: integer("shadow.flips.would_deny", flip.wouldDeny, 0),
      wouldAllow: integer("shadow.flips.would_allow", flip.wouldAllow, 0),
    })),
  };
}
