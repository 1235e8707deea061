/** How long header blocks may be: the same for both proxies of a call, though each adds fields of its own. */
import type { FieldBlock } from "../../http2/field-block.js";
import type { EngineLimits } from "../../http2/limits.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import type { PeerSettings } from "../../http2/settings.js";
import { headersAnswer } from "../answer.js";
import type { Direction } from "../proxy-metrics.js";
import type { AnsweredCall, CallOwner } from "./call-owner.js";

/**
 * What a proxy may add on the way to the next one: its labels, which are at most 32 of 128 bytes, trace, epoch, revision,
 * decision. Between proxies so much more is taken, so that what the first lets in does not fail at the second.
 */
const addedBytesMax = 8192;
const addedFieldsMax = 32;
/** Fields of fewer bytes than this on average, 32 for each included, come up against their number first. */
const bytesAField = 64;
const fieldsMin = 128;
/** Who says that less is taken is not believed: it could not even be answered. */
const listMaxLeast = 4096;

/** Says of which call something is the upstream. */
type Upstream = Pick<AnsweredCall, "direction" | "service">;
/** Is told of blocks that are too long. */
type Owner = Pick<CallOwner<never>, "oversized" | "nowMs">;

/** `bytesMax`: as applications are told; `isProxy`: at the other end is one. */
export function headerLimits(
  bytesMax: number,
  isProxy: boolean,
): Pick<EngineLimits, "headerListBytesMax" | "headerFieldsMax"> {
  const fields = Math.max(fieldsMin, Math.floor(bytesMax / bytesAField));
  return {
    headerListBytesMax: bytesMax + (isProxy ? addedBytesMax : 0),
    headerFieldsMax: fields + (isProxy ? addedFieldsMax : 0),
  };
}

/**
 * Says that a block counts more than the peer takes by its SETTINGS_MAX_HEADER_LIST_SIZE, and who it is: the
 * upstream of the call, null: its caller. "": it does not. gRPC's own clients do not send such either.
 */
export function excessFor(
  peer: PeerSettings,
  first: readonly PreparedField[] | null,
  fields: FieldBlock,
  last: readonly PreparedField[] | null,
  upstream: Upstream | null,
): string {
  // `listBytes` counts fields that are dropped too: only near the limit it is worth a closer look.
  if (fields.listBytes + addedBytesMax <= peer.maxHeaderListSize) return "";
  let bytes = sizeOf(first) + sizeOf(last);
  for (let field = 0; field < fields.count; field++) if (!fields.isDropped(field)) bytes += fields.sizeOf(field);
  const bytesMax = Math.max(peer.maxHeaderListSize, listMaxLeast);
  return bytes > bytesMax
    ? `more than ${upstream === null ? "the caller" : nameOf(upstream)} takes (${bytesMax} bytes in all)`
    : "";
}

/** Of a block that was more than this proxy takes. */
export function excessHere(direction: Direction, bytesMax: number): string {
  const whose = direction === "inbound" ? "the called service" : "the caller";
  return `more than the proxy of ${whose} takes (${bytesMax} bytes in all, --header-kib)`;
}

/** Answers a call whose header fields are `excess`, if they are; `part`: which side's. */
export function isAnswered(call: AnsweredCall, owner: Owner, part: "request" | "response", excess: string): boolean {
  if (excess === "" || call.settled) return excess !== "";
  const answer = headersAnswer(part, excess, call.plan?.revision);
  noteOversized(call, owner, answer.message);
  call.answer(answer);
  return true;
}

export function noteOversized({ service, method }: AnsweredCall, owner: Owner, what: string): void {
  owner.oversized.warn(owner.nowMs(), what, { service, method });
}

function nameOf({ direction, service }: Upstream): string {
  return `${direction === "inbound" ? "the application" : "the proxy"} of ${service}`;
}

function sizeOf(fields: readonly PreparedField[] | null): number {
  return (fields ?? []).reduce((bytes, { size }) => bytes + size, 0);
}
