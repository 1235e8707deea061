/** A journaled call with its complete request, copied from the call, because the write may outlive it. */
import { digestOf } from "../../core/digest.js";
import type { CallKeys, JournalPlan } from "../../core/journal/plan.js";
import { readSubject } from "../../core/journal/private/subject.js";
import { headerNames } from "../../core/wire/headers.js";
import type { JournalEntry, StreamedRequest, UnplacedEntry } from "../../core/wire/journal/entry.js";
import type { Field } from "../../core/wire/journal/fields.js";
import type { Clock } from "../../runtime/clock.js";
import type { Answer } from "../proxy/answer.js";
import type { Call } from "../proxy/forward/call.js";
import type { ForwardPlan } from "../proxy/forward/call-owner.js";
import { renderGrpcTimeout } from "../proxy/grpc-timeout.js";
import { type AppRequest, copyFields } from "./app-attempt.js";
import type { ResponseRelay } from "./response-relay.js";
import { RoomShare, type WriteRoom } from "./write-room.js";

/** Headers that are not stored: those of the transport, and credentials. */
const notKept = new Set([
  "te",
  "grpc-timeout",
  "authorization",
  "proxy-authorization",
  "cookie",
  "traceparent",
  "tracestate",
]);
/** The most fields of metadata that are stored; the application gets all of them. */
const fieldsKeptMax = 200;
const fieldBytesKeptMax = 32 * 1024;
/** The milliseconds that an application may take beyond its caller's deadline, or in all if there is none. */
const graceMs = 10_000;
const withoutDeadlineMs = 600_000;
/** The longest such time: removals of a journal spare the messages of an open stream for a day. */
const patienceMsMax = 12 * 3_600_000;
const streamWaitMs = 10_000;

/** The writer of an entry. */
export type EntryWriter = Pick<JournalEntry, "service" | "proxyId" | "life" | "nonce" | "epoch">;

export class CollectedWrite {
  readonly plan: JournalPlan;
  readonly method: string;
  readonly revision: number | undefined;
  /** When the caller gives up, on the monotonic clock; Infinity: never. */
  readonly dueAtMs: number;
  readonly expected: number | undefined;
  readonly isBidirectional: boolean;
  /** True if it has private fields: its messages are then stored together, after the fields were cut out. */
  readonly isPrivate: boolean;
  /** What is wrong with the call; undefined: nothing. */
  readonly problem: string | undefined;
  request: Uint8Array = new Uint8Array();
  /** For a streamed request: the records with its messages, and the nonce of the entry that names them. */
  streamed: StreamedRequest | undefined;
  nonce: Uint8Array | undefined;
  readonly #relay: ResponseRelay;
  /** True if the call has ended. */
  hasLeft = false;
  isTold = false;
  /** Room for its messages, which is given back when the write is over. */
  readonly room: RoomShare;
  readonly #caller: Call["caller"];
  readonly #user: string;
  readonly #decision: string;
  readonly #traceId: string;
  readonly #fields: readonly Field[];
  readonly #forward: ForwardPlan | null;
  readonly #keys: CallKeys;
  #subject: string | undefined;
  readonly #tell: (answer: Answer) => void;

  constructor(call: Call, plan: JournalPlan, room: WriteRoom, relay: ResponseRelay, tell: (answer: Answer) => void) {
    this.#relay = relay;
    this.room = new RoomShare(room);
    this.plan = plan;
    this.method = call.method;
    this.revision = call.plan?.revision;
    this.isPrivate = plan.privacy?.cuts.has(call.method) === true;
    this.isBidirectional = plan.isBidirectional(call.method) && !this.isPrivate;
    this.dueAtMs = call.dueAtMs < 0 ? Number.POSITIVE_INFINITY : call.dueAtMs;
    this.#tell = tell;
    this.#caller = call.caller;
    this.#user = userOf(call);
    this.#decision = call.decision ?? "";
    this.#traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(call.header("traceparent") ?? "")?.[1] ?? "";
    this.#forward = call.plan;
    this.#fields = copyFields(call.restore(), ["grpc-timeout"]);
    const keys = plan.keysOf(call.caller, call.method, call.inputs);
    this.#keys = typeof keys === "string" ? { key: "", order: "" } : keys;
    const expected = expectedOf(call.expectedSequence);
    this.expected = plan.isOrdered && typeof expected === "number" ? expected : undefined;
    this.problem =
      typeof keys === "string"
        ? keys
        : expected === "wrong"
          ? `${headerNames.expectedSequence} is not a sequence`
          : undefined;
  }

  /** True if the application gets its messages before its entry is stored. */
  get isForwardedFirst(): boolean {
    return this.plan.mode === "after" || this.isBidirectional;
  }

  /** The subject of its private fields; undefined: it has none. */
  get subject(): string | undefined {
    return this.#subject ?? this.#keys.subject;
  }

  /** Takes the request, which is complete. Returns what is wrong with it; undefined: nothing. */
  take(request: Uint8Array): string | undefined {
    this.request = request;
    const { method, plan } = this;
    const field = plan.privacy?.cuts.has(method) === true ? plan.privacy.subjects.get(method) : undefined;
    if (field === undefined) return undefined;
    const found = readSubject(request, field);
    if ("why" in found) return `the subject of the private fields of ${method} ${found.why}`;
    this.#subject = found.text;
    return undefined;
  }

  answer(answer: Answer): void {
    if (this.isTold) return;
    this.isTold = true;
    this.#tell(answer);
  }

  /** Returns the entry of the call. */
  entryOf(clock: Clock, writer: EntryWriter): UnplacedEntry {
    const leftMs = this.dueAtMs - clock.monotonicMs();
    const timeMs = Math.round(clock.nowMs());
    return {
      service: writer.service,
      proxyId: writer.proxyId,
      life: writer.life,
      nonce: writer.nonce,
      timeMs,
      caller: this.#caller,
      user: this.#user,
      method: this.method,
      revision: this.revision ?? 0,
      epoch: writer.epoch,
      decision: this.#decision,
      key: this.#keys.key,
      order: this.#keys.order,
      deadlineMs: Number.isFinite(leftMs) ? Math.max(0, Math.round(timeMs + leftMs)) : 0,
      traceId: this.#traceId,
      fields: keptFields(this.#fields),
      request: this.streamed === undefined ? this.request : new Uint8Array(),
      streamed: this.streamed,
    };
  }

  /** Returns the request for the application. `sequence`: 0 if it has none. `onTaken`: set if more of it will come. */
  toApplication(sequence: number, onTaken?: AppRequest["onTaken"]): AppRequest {
    const leftMs = this.dueAtMs - performance.now();
    const own: Field[] = [];
    const add = (name: string, value: string): void => {
      own.push({ name, value: Buffer.from(value, "latin1") });
    };
    if (Number.isFinite(leftMs)) add("grpc-timeout", renderGrpcTimeout(Math.max(1, leftMs)));
    if (sequence > 0) add(headerNames.sequence, String(sequence));
    const { key } = this.#keys;
    if (/^[\x20-\x7e]+$/.test(key)) add(headerNames.key, key);
    return {
      caller: this.#caller,
      first: this.#forward?.first ?? [],
      fields: [...this.#fields, ...own],
      last: this.#forward?.last ?? [],
      bytes: this.request,
      onTaken,
      patienceMs: Number.isFinite(leftMs) ? Math.min(Math.max(0, leftMs) + graceMs, patienceMsMax) : withoutDeadlineMs,
      room: this.room,
      relay: this.hasLeft || this.isTold ? undefined : this.#relay,
      relaysAtOnce: this.isBidirectional,
      relayedBytesMax: this.plan.keepsResponse ? this.plan.responseBytesMax : 0,
      streamWaitMs: Math.min(streamWaitMs, Math.max(1, leftMs)),
    };
  }
}

/** Returns the end user of a verified token; "": none. */
function userOf({ claims, tokenIssuer }: Call): string {
  const subject = claims?.get("sub");
  if (typeof subject !== "string" || tokenIssuer === undefined) return "";
  const user = `${tokenIssuer} ${subject}`;
  return Buffer.byteLength(user) <= 512 ? user : `${tokenIssuer} ${digestOf(Buffer.from(subject))}`;
}

function expectedOf(text: string): number | "wrong" | undefined {
  if (text === "") return undefined;
  return /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : "wrong";
}

function keptFields(fields: readonly Field[]): readonly Field[] {
  let bytes = 0;
  const kept: Field[] = [];
  for (const field of fields) {
    if (field.name.startsWith(":") || notKept.has(field.name)) continue;
    bytes += field.name.length + field.value.length;
    if (kept.length >= fieldsKeptMax || bytes > fieldBytesKeptMax) break;
    kept.push(field);
  }
  return kept;
}
