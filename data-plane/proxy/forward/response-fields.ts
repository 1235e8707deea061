import { headerNames } from "../../../core/wire/headers.js";
import { FieldBlock } from "../../http2/field-block.js";
import { fieldFlag } from "../../http2/field-classes.js";
import { decimalOf } from "../../http2/field-forms.js";
import { fieldName } from "../../http2/field-names.js";
import { PreparedField } from "../../http2/prepared-field.js";
import { type Stream, sendState } from "../../http2/stream.js";
import { type Answer, percentEncode, type Reply } from "../answer.js";
import { meshField } from "../mesh-fields.js";
import { dropReservedFields } from "../reserved-fields.js";
import type { AnsweredCall, CallOwner } from "./call-owner.js";
import { excessFor, noteOversized } from "./header-limits.js";

const head = [new PreparedField(":status", "200"), new PreparedField("content-type", "application/grpc")];
const httpOk = head.slice(0, 1);
const statuses = Array.from({ length: 17 }, (_, code) => new PreparedField("grpc-status", String(code)));
const answersAtOnce = statuses.map((field) => [...head, field]);
const answersLate = statuses.map((field) => [field]);
/** The status of a call that the upstream ended without a status. */
const unknownStatus: readonly PreparedField[] = answersLate[2] ?? [];

const scratch = new FieldBlock();
const revisionsKept = 16;
/** The value that stands for no revision: no revision has number 0. */
const noRevision = 0;
const revisions = new Map<number, readonly PreparedField[]>();

/** The prepared `ashlar-revision` field of each of the most recent revisions. */
export function revisionField(revision: number): readonly PreparedField[] {
  let prepared = revisions.get(revision);
  if (prepared === undefined) {
    if (revisions.size >= revisionsKept) revisions.clear();
    prepared = [new PreparedField(headerNames.revision, String(revision))];
    revisions.set(revision, prepared);
  }
  return prepared;
}

/**
 * Sends the proxy's own answer: as trailers, or as the only header block if nothing was sent before (trailers-only).
 */
export function sendAnswer(stream: Stream, answer: Answer): void {
  const { reply } = answer;
  if (reply !== undefined) {
    sendReply(stream, reply, answer.revision ?? noRevision);
    return;
  }
  scratch.clear();
  scratch.add("grpc-message", percentEncode(answer.message));
  if (answer.decision !== undefined) scratch.add(headerNames.decision, answer.decision);
  if (answer.sequence !== undefined) scratch.add(headerNames.sequence, String(answer.sequence));
  if (answer.isUnprocessed === true && stream.sending === sendState.idle) scratch.add(headerNames.unprocessed, "1");
  if (answer.pushbackMs !== undefined) scratch.add("grpc-retry-pushback-ms", String(answer.pushbackMs));
  const first = (stream.sending === sendState.idle ? answersAtOnce : answersLate)[answer.code];
  stream.sendFields(first ?? null, scratch, revisionField(answer.revision ?? noRevision), true);
}

export function sendReplyHead(stream: Stream, head: Reply["head"]): void {
  fillScratch(head);
  stream.sendFields(httpOk, scratch, null, false);
}

/** Sends a response that was kept as a whole, or the end of one that was begun. */
function sendReply(stream: Stream, { head: own, bytes, code, trailers, sequence }: Reply, revision: number): void {
  const isBegun = stream.sending !== sendState.idle;
  const isShort = !isBegun && own.length === 0 && bytes.length === 0;
  if (!isShort && !isBegun) {
    sendReplyHead(stream, own);
    stream.sendData(bytes, 0, bytes.length, false);
  }
  fillScratch(trailers);
  if (sequence > 0) scratch.add(headerNames.sequence, String(sequence));
  stream.sendFields((isShort ? answersAtOnce : answersLate)[code] ?? null, scratch, revisionField(revision), true);
}

function fillScratch(fields: Reply["head"]): void {
  scratch.clear();
  for (const { name, value } of fields) scratch.add(name, Buffer.from(value).toString("latin1"));
}

const messageLengthMax = 1024;
const keptOfTrailers: readonly number[] = [
  ...[fieldName.grpcStatus, fieldName.grpcMessage, fieldName.grpcRetryPushback],
  ...[meshField.revision, meshField.decision, meshField.sequence],
];

/**
 * Drops from trailers, which may be unchecked, all but gRPC's status, a shortened message, the pushback and what
 * proxies send. The message says that others were dropped because they are `excess` (plain text without "%"). Returns
 * that remark.
 */
function shortenTrailers(fields: FieldBlock, excess: string): string {
  const wrong = fieldFlag.badValue | fieldFlag.obsText;
  for (let field = 0; field < fields.count; field++) {
    const id = fields.nameId(field);
    const isKept = keptOfTrailers.includes(id) && fields.find(id) === field && (fields.flags(field) & wrong) === 0;
    if (!isKept) fields.drop(field);
  }
  const at = fields.find(fieldName.grpcMessage);
  const text = at < 0 ? "" : fields.valueText(at);
  const whole = text.length <= messageLengthMax ? text : `${text.slice(0, messageLengthMax).replace(/%.?$/, "")}...`;
  if (at >= 0) fields.drop(at);
  const why = `trailers were dropped: they are ${excess}`;
  fields.add("grpc-message", `${whole}${whole === "" ? "" : " "}(${why})`);
  return why;
}

/**
 * Sends the upstream's trailers as the end of a call and returns its status, or -1 if they have none. `excess`: why
 * some trailers are missing, or "" if none are. Trailers that the caller does not accept are dropped.
 */
export function passTrailers(
  owner: Pick<CallOwner<never>, "fromPeer" | "oversized" | "nowMs">,
  call: AnsweredCall,
  inbound: Stream,
  fields: FieldBlock,
  excess: string,
): number {
  const fromPeer = owner.fromPeer && call.plan?.isOutside !== true;
  dropReservedFields(fields, fromPeer);
  const own = call.plan?.revision;
  const last = own === undefined || (fromPeer && fields.find(meshField.revision) >= 0) ? null : revisionField(own);
  const why = excess === "" ? excessFor(inbound.connection.peer, null, fields, last, null) : excess;
  let first: readonly PreparedField[] | null = null;
  if (why !== "") {
    noteOversized(call, owner, shortenTrailers(fields, why));
    if (inbound.sending === sendState.idle) first = head;
  }
  const isMissing = fields.find(fieldName.grpcStatus) < 0;
  inbound.sendFields(first, fields, isMissing ? unknownStatus.concat(last ?? []) : last, true);
  return grpcStatusOf(fields);
}

/** Returns the status in trailers, or -1 if there is none or its form is not gRPC's. */
export function grpcStatusOf(fields: FieldBlock): number {
  const field = fields.find(fieldName.grpcStatus);
  return field < 0 ? -1 : decimalOf(fields, field, 2);
}
