/**
 * Reads and changes the fields of a request that a proxy needs, in one pass over a block that the engine has checked
 * (RFC 9113, 8.1.1). No field is repaired: a malformed head is refused as a whole.
 */
import { headerNames } from "../../core/wire/headers.js";
import type { FieldBlock } from "../http2/field-block.js";
import { fieldFlag } from "../http2/field-classes.js";
import { fieldName } from "../http2/field-names.js";
import { KnownBlock } from "./forward/known-block.js";
import type { MethodNames } from "./forward/method-names.js";
import { idOfName, isSpelt } from "./forward/name-ids.js";
import { meshField } from "./mesh-fields.js";
import { dropAll, isReserved } from "./reserved-fields.js";
import { isTraceparentAt } from "./traceparent.js";

const unitMs: Readonly<Record<number, number>> = { 72: 3_600_000, 77: 60_000, 83: 1000, 109: 1, 117: 1e-3, 110: 1e-6 };

/** What is known for all requests whose blocks have the same profile. Values that vary are read from each block. */
class KnownHead extends KnownBlock {
  readonly head: RequestHead;
  /** A mask of the fields that are dropped because of their names, varying ones included. */
  readonly dropped: number;
  authority = "";
  method = "";

  constructor(head: RequestHead, dropped: number) {
    super();
    this.head = head;
    this.dropped = dropped;
  }
}

/** The head of the last request that was read. One object serves many requests. */
export class RequestHead {
  /** The indexes of fields in the block. -1: the field is missing. */
  path = -1;
  authority = -1;
  host = -1;
  te = -1;
  /** The time that remains for the call, in milliseconds. -1: the caller set no deadline. */
  timeoutMs = -1;
  timeout = -1;
  traceparent = -1;
  /** The epoch that the peer has seen. -1: the peer sent none. */
  epoch = -1;
  /** The index of the field with the peer's labels, or -1. */
  labels = -1;
  /** The index of the field with the outside client that a gateway proved, or -1. */
  client = -1;
  /** The index of the field with the sequence that the caller expects, or -1. The field is not dropped here. */
  expected = -1;
  /** The index of the field with the write that a read must have seen, or -1. The field is not dropped here. */
  after = -1;
  /** The index of the field that marks a copy of a call, or -1. */
  mirror = -1;
  /** The index of the field with the method that the peer's application asked for, or -1. */
  calledMethod = -1;
  #epochAt = -1;
  #traces = 0;
  #traceAt = -1;
  #state = -1;
  /** A mask of the fields that were dropped because of their names. */
  #droppedByName = 0;
  #known: KnownHead | undefined;

  /**
   * Reads the block, and drops `:scheme`, `host`, an invalid trace and the fields that only proxies may send. Returns
   * false if the request is malformed.
   */
  read(fields: FieldBlock): boolean {
    const { profile } = fields;
    if (profile?.isRequest !== true || fields.dropped !== 0) {
      this.#known = undefined;
      return this.#read(fields);
    }
    if (profile.memo instanceof KnownHead) {
      this.#recall(profile.memo, fields);
      return true;
    }
    this.#known = undefined;
    if (!this.#read(fields)) return false;
    const copy = new RequestHead();
    copy.#take(this);
    profile.memo = this.#known = new KnownHead(copy, this.#droppedByName);
    return true;
  }

  #take(from: RequestHead): void {
    this.path = from.path;
    this.authority = from.authority;
    this.host = from.host;
    this.te = from.te;
    this.timeoutMs = from.timeoutMs;
    this.timeout = from.timeout;
    this.epoch = from.epoch;
    this.labels = from.labels;
    this.client = from.client;
    this.expected = from.expected;
    this.after = from.after;
    this.mirror = from.mirror;
    this.calledMethod = from.calledMethod;
    this.#epochAt = from.#epochAt;
    this.#traces = from.#traces;
    this.#traceAt = from.#traceAt;
    this.#state = from.#state;
  }

  /** Reads the values that vary; all else is the same for the profile. */
  #recall(known: KnownHead, fields: FieldBlock): void {
    this.#known = known;
    this.#take(known.head);
    dropAll(fields, known.dropped);
    if (this.timeout >= 0) this.timeoutMs = timeoutMsOf(fields, this.timeout);
    if (this.#epochAt >= 0) {
      this.epoch = numberOf(fields, this.#epochAt);
      fields.drop(this.#epochAt);
    }
    if (this.labels >= 0) fields.drop(this.labels);
    if (this.client >= 0) fields.drop(this.client);
    if (this.mirror >= 0) fields.drop(this.mirror);
    if (this.calledMethod >= 0) fields.drop(this.calledMethod);
    this.#readTrace(fields);
  }

  #forget(): void {
    this.path = this.authority = this.host = this.te = this.timeout = this.epoch = -1;
    this.timeoutMs =
      this.labels =
      this.client =
      this.expected =
      this.after =
      this.mirror =
      this.calledMethod =
      this.#epochAt =
      this.#traceAt =
      this.#state =
        -1;
    this.#traces = 0;
  }

  #read(fields: FieldBlock): boolean {
    this.#forget();
    let encodings = 0;
    for (let field = 0; field < fields.count; field++) {
      if (fields.isDropped(field)) continue;
      switch (fields.nameId(field)) {
        case 0:
          if (!isReserved(fields, field)) break;
          this.#noteReserved(fields.nameText(field), field);
          fields.drop(field);
          break;
        case fieldName.path:
          this.path = field;
          break;
        case fieldName.scheme:
          if (!fields.valueIs(field, "https") && !fields.valueIs(field, "http")) return false;
          fields.drop(field);
          break;
        case fieldName.authority:
          this.authority = field;
          break;
        case fieldName.host:
          this.host = field;
          fields.drop(field);
          break;
        case fieldName.te:
          if (this.te >= 0) return false;
          this.te = field;
          break;
        case fieldName.grpcEncoding:
          if (++encodings > 1) return false;
          break;
        case fieldName.grpcTimeout:
          if (this.timeout >= 0) return false;
          this.timeout = field;
          this.timeoutMs = timeoutMsOf(fields, field);
          break;
        case fieldName.traceparent:
          this.#traces++;
          this.#traceAt = field;
          break;
        case fieldName.tracestate:
          this.#state = field;
          break;
        case meshField.epoch:
          this.#epochAt = field;
          this.epoch = numberOf(fields, field);
          fields.drop(field);
          break;
        case meshField.expectedSequence:
          if (this.expected >= 0)
            fields.drop(field); // the first counts, and no second one reaches an application
          else this.expected = field;
          break;
        case meshField.afterSequence:
          if (this.after >= 0) fields.drop(field);
          else this.after = field;
          break;
        case meshField.sequence:
        case meshField.caller:
        case meshField.revision:
        case meshField.decision:
        case meshField.unprocessed:
          fields.drop(field);
          break;
      }
    }
    this.#droppedByName = fields.dropped;
    this.#readTrace(fields);
    return this.authority >= 0 || this.host >= 0;
  }

  /** Notes the index of a reserved field without a name id if a proxy may read it. */
  #noteReserved(name: string, field: number): void {
    if (name === headerNames.labels) this.labels = field;
    else if (name === headerNames.mirror) this.mirror = field;
    else if (name === headerNames.client) this.client = field;
    else if (name === headerNames.calledMethod) this.calledMethod = field;
  }

  #readTrace(fields: FieldBlock): void {
    this.traceparent = this.#traceAt;
    if (
      this.#traces === 1 &&
      isTraceparentAt(fields.bytes, fields.valueStart(this.#traceAt), fields.valueLength(this.#traceAt))
    )
      return;
    if (this.#traces > 0 || this.#state >= 0) dropTrace(fields);
    this.traceparent = -1;
  }

  /** Returns "package.Service/Method". */
  method(fields: FieldBlock, names: MethodNames): string {
    const known = this.#known;
    if (known === undefined) return names.of(fields.valueText(this.path));
    if (known.method === "") known.method = names.of(fields.valueText(this.path));
    return known.method;
  }

  /** Returns the name that the caller addressed, in lower case and without a trailing dot. It may have a port. */
  authorityText(fields: FieldBlock): string {
    const known = this.#known;
    if (known === undefined) return this.#authorityText(fields);
    if (known.authority === "") known.authority = this.#authorityText(fields);
    return known.authority;
  }

  #authorityText(fields: FieldBlock): string {
    const text = fields.valueText(this.authority >= 0 ? this.authority : this.host);
    return text.includes(".") ? text.replace(/\.(?=:\d+$|$)/, "") : text;
  }
}

function dropTrace(fields: FieldBlock): void {
  for (let field = 0; field < fields.count; field++) {
    const id = fields.nameId(field);
    if (id === fieldName.traceparent || id === fieldName.tracestate) fields.drop(field);
  }
}

/** Returns the timeout in milliseconds, with fractions. The engine has checked the form. */
function timeoutMsOf(fields: FieldBlock, field: number): number {
  const end = fields.valueStart(field) + fields.valueLength(field) - 1;
  let value = 0;
  for (let i = fields.valueStart(field); i < end; i++) value = value * 10 + (fields.bytes[i] as number) - 48;
  return value * (unitMs[fields.bytes[end] as number] ?? 0);
}

/** Returns the number that 1 to 15 digits spell, or -1 for any other value. */
function numberOf(fields: FieldBlock, field: number): number {
  const length = fields.valueLength(field);
  if (length === 0 || length > 15 || (fields.flags(field) & fieldFlag.obsText) !== 0) return -1;
  let value = 0;
  for (let i = fields.valueStart(field), end = i + length; i < end; i++) {
    const digit = (fields.bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Whether a name ends with a dot, or has one before the port. */
export function endsWithDot(fields: FieldBlock, field: number): boolean {
  const { bytes } = fields;
  const start = fields.valueStart(field);
  let at = start + fields.valueLength(field) - 1;
  if (bytes[at] === 0x2e) return true;
  while (at > start && (bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39) at--;
  return bytes[at] === 0x3a && bytes[at - 1] === 0x2e;
}

/** Returns a header's value as routes see it: repeated fields joined with a comma. undefined: the header is missing. */
export function joinHeader(fields: FieldBlock, name: string): string | undefined {
  const id = idOfName(name);
  let value: string | undefined;
  for (let field = 0; field < fields.count; field++) {
    if (fields.nameId(field) !== id || fields.isDropped(field)) continue;
    if (id === 0 && !isSpelt(fields, field, name)) continue;
    const text = fields.valueText(field);
    value = value === undefined ? text : `${value},${text}`;
  }
  return value;
}
