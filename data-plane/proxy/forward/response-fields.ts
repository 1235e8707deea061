import { headerNames } from "../../../core/wire/headers.js";
import { FieldBlock } from "../../http2/field-block.js";
import { decimalOf } from "../../http2/field-forms.js";
import { fieldName } from "../../http2/field-names.js";
import { PreparedField } from "../../http2/prepared-field.js";
import { type Stream, sendState } from "../../http2/stream.js";
import { type Answer, percentEncode } from "../answer.js";

const head = [new PreparedField(":status", "200"), new PreparedField("content-type", "application/grpc")];
const statuses = Array.from({ length: 17 }, (_, code) => new PreparedField("grpc-status", String(code)));
const answersAtOnce = statuses.map((field) => [...head, field]);
const answersLate = statuses.map((field) => [field]);
/** For an upstream that ended a call without saying how. */
export const unknownStatus: readonly PreparedField[] = answersLate[2] ?? [];

const scratch = new FieldBlock();
const revisionsKept = 16;
/** No revision has number 0: the proxy has none to judge by. */
const noRevision = 0;
const revisions = new Map<number, readonly PreparedField[]>();

/** `ashlar-revision`, prepared once for each of the last revisions. */
export function revisionField(revision: number): readonly PreparedField[] {
  let prepared = revisions.get(revision);
  if (prepared === undefined) {
    if (revisions.size >= revisionsKept) revisions.clear();
    prepared = [new PreparedField(headerNames.revision, String(revision))];
    revisions.set(revision, prepared);
  }
  return prepared;
}

/** Sends a proxy's own answer: trailers, or the only header block if nothing was sent before (trailers-only). */
export function sendAnswer(stream: Stream, answer: Answer): void {
  scratch.clear();
  scratch.add("grpc-message", percentEncode(answer.message));
  if (answer.decision !== undefined) scratch.add(headerNames.decision, answer.decision);
  if (answer.pushbackMs !== undefined) scratch.add("grpc-retry-pushback-ms", String(answer.pushbackMs));
  const first = (stream.sending === sendState.idle ? answersAtOnce : answersLate)[answer.code];
  stream.sendFields(first ?? null, scratch, revisionField(answer.revision ?? noRevision), true);
}

/** The status in trailers; -1: none, or none that gRPC knows the form of. */
export function grpcStatusOf(fields: FieldBlock): number {
  const field = fields.find(fieldName.grpcStatus);
  return field < 0 ? -1 : decimalOf(fields, field, 2);
}
