/**
 * Limits the size of header blocks, so that both proxies of a call accept the same although each adds fields of its
 * own.
 */
import type { FieldBlock } from "../../http2/field-block.js";
import type { EngineLimits } from "../../http2/limits.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import type { PeerSettings } from "../../http2/settings.js";
import { headersAnswer } from "../answer.js";
import type { Direction } from "../proxy-metrics.js";
import type { AnsweredCall, CallOwner } from "./call-owner.js";

/**
 * The most bytes that a proxy adds on the way to the next proxy: its labels (at most 32 of 128 bytes), trace, epoch,
 * revision, decision. Proxies accept this much more from each other, so that a request that the first proxy accepts
 * does not fail at the second.
 */
const addedBytesMax = 8192;
const addedFieldsMax = 32;
/**
 * The average size of a field in bytes, overhead of 32 included, below which the count of fields is the tighter limit.
 */
const bytesAField = 64;
const fieldsMin = 128;
/** The least list size that a peer is believed to accept. A peer that accepts less could not even be answered. */
const listMaxLeast = 4096;

/** The names that identify the upstream of a call. */
type Upstream = Pick<AnsweredCall, "direction" | "service">;
/** The owner's part that logs blocks which are too large. */
type Owner = Pick<CallOwner<never>, "oversized" | "nowMs">;

/**
 * Returns the limits for a connection. `bytesMax`: the limit that applications are told. `isProxy`: the other end is a
 * proxy.
 */
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
 * Returns a text if the block is larger than the peer accepts (SETTINGS_MAX_HEADER_LIST_SIZE), otherwise "". The text
 * names the peer: the upstream of the call, or its caller if `upstream` is null. gRPC's own clients do not send such
 * blocks either.
 */
export function excessFor(
  peer: PeerSettings,
  first: readonly PreparedField[] | null,
  fields: FieldBlock,
  last: readonly PreparedField[] | null,
  upstream: Upstream | null,
): string {
  // `listBytes` counts dropped fields too, so the exact size is computed only near the limit.
  if (fields.listBytes + addedBytesMax <= peer.maxHeaderListSize) return "";
  let bytes = sizeOf(first) + sizeOf(last);
  for (let field = 0; field < fields.count; field++) if (!fields.isDropped(field)) bytes += fields.sizeOf(field);
  const bytesMax = Math.max(peer.maxHeaderListSize, listMaxLeast);
  return bytes > bytesMax
    ? `more than ${upstream === null ? "the caller" : nameOf(upstream)} takes (${bytesMax} bytes in all)`
    : "";
}

/** Returns the text for a block that is larger than this proxy accepts. "edge": it came from a gateway's client. */
export function excessHere(direction: Direction | "edge", bytesMax: number): string {
  if (direction === "edge")
    return `more than the gateway takes (${bytesMax} bytes in all, headerKib of the listener, or --header-kib)`;
  const whose = direction === "inbound" ? "the called service" : "the caller";
  return `more than the proxy of ${whose} takes (${bytesMax} bytes in all, --header-kib)`;
}

/** Answers a call whose header fields are too large, if `excess` is not "". `part`: which side's fields. */
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
