/** Which header fields only proxies may send, and how they are dropped from responses and trailers. */
import type { FieldBlock } from "../http2/field-block.js";
import { nameStartsWith } from "../http2/field-forms.js";
import { meshField } from "./mesh-fields.js";

/** Drops the fields that only proxies may send from a response or trailers. `fromPeer`: revision and decision stay. */
export function dropReservedFields(fields: FieldBlock, fromPeer: boolean): void {
  const { profile } = fields;
  if (profile !== null) {
    let known = profile.memo;
    if (!(known instanceof KnownReserved)) profile.memo = known = new KnownReserved(fields, profile.count);
    dropAll(fields, fromPeer ? (known as KnownReserved).toPeers : (known as KnownReserved).toAll);
  }
  for (let field = profile?.count ?? 0; field < fields.count; field++)
    if (isReservedField(fields, field) && !(fromPeer && isOfPeers(fields, field))) fields.drop(field);
}

/**
 * Returns which fields of a response or of trailers are dropped because of their names: the same for all blocks with
 * the profile.
 */
class KnownReserved {
  /** A bit for each field that only proxies may send, and for each that not even peers may send. */
  readonly toAll: number;
  readonly toPeers: number;

  constructor(fields: FieldBlock, count: number) {
    let [toAll, toPeers] = [0, 0];
    for (let field = 0; field < count; field++) {
      if (!isReservedField(fields, field)) continue;
      toAll |= 1 << field;
      if (!isOfPeers(fields, field)) toPeers |= 1 << field;
    }
    this.toAll = toAll;
    this.toPeers = toPeers;
  }
}

function isReservedField(fields: FieldBlock, field: number): boolean {
  const id = fields.nameId(field);
  if (id === 0) return isReserved(fields, field);
  const isOfRequests =
    id === meshField.caller ||
    id === meshField.epoch ||
    id === meshField.expectedSequence ||
    id === meshField.afterSequence;
  return isOfRequests || id === meshField.unprocessed || isOfPeers(fields, field);
}

/** Whether the field gives the revision, the decision or the sequence of a write, which peers may send. */
function isOfPeers(fields: FieldBlock, field: number): boolean {
  const id = fields.nameId(field);
  return id === meshField.revision || id === meshField.decision || id === meshField.sequence;
}

/** Whether a name without an id is reserved; see `isReservedHeader`. */
export function isReserved(fields: FieldBlock, field: number): boolean {
  return (
    fields.bytes[fields.nameStart(field)] === 0x61 &&
    (nameStartsWith(fields, field, "ashlar-") ||
      nameStartsWith(fields, field, "ashlar_") ||
      nameStartsWith(fields, field, "ashlar."))
  );
}

/** Drops the first 32 fields whose bits are set. */
export function dropAll(fields: FieldBlock, mask: number): void {
  for (let bits = mask; bits !== 0; bits &= bits - 1) fields.drop(31 - Math.clz32(bits & -bits));
}
