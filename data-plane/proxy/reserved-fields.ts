/** Says which header fields only proxies may send, and drops them from responses and trailers. */
import type { FieldBlock } from "../http2/field-block.js";
import { nameStartsWith } from "../http2/field-forms.js";
import { KnownBlock } from "./forward/known-block.js";
import { meshField } from "./mesh-fields.js";

/** Drops from a response or trailers the fields that only proxies may send. `fromPeer`: keeps revision and decision. */
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

/** The fields to drop because of their names. They are the same for all blocks with one profile. */
class KnownReserved extends KnownBlock {
  /** Two masks: the fields that only proxies may send, and the fields that not even peers may send. */
  readonly toAll: number;
  readonly toPeers: number;

  constructor(fields: FieldBlock, count: number) {
    super();
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
