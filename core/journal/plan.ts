/** Compiles the Journal of a service into what its proxies do with calls. */
import { buildSpiffeId, nameIn, type SpiffeId, trustDomainOf } from "../identity.js";
import { isIdempotent } from "../kinds/callee.js";
import {
  defaultMessagesBytesMax,
  defaultRememberKeysMs,
  idsKnownMsMin,
  type Journal,
} from "../kinds/journal/journal.js";
import type { Unit } from "../kinds/table.js";
import type { CallInputs, Subject } from "../policy/condition/frame.js";
import { type KeyExpression, parseKeyExpression } from "../policy/condition/key-expression.js";
import { Failure } from "../policy/condition/values.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import { journalKeyBytesMax } from "../wire/journal/entry.js";
import { compileDirect, type DirectPlan } from "./direct-plan.js";
import { feedMethod } from "./feed-method.js";
import { type MethodCuts, methodCutsOf } from "./private/plan.js";
import { type SubjectField, subjectsOf } from "./private/subject.js";
import type { ReadPlan } from "./read-plan.js";

/** The keys that policy computes from a call; "": policy asks for none. */
export interface CallKeys {
  readonly key: string;
  readonly order: string;
  /** The subject that the private fields of the call are about; left out: it has none, or its request says it. */
  readonly subject?: string;
}

export interface JournalPlan {
  readonly mode: "before" | "after";
  readonly isKeyed: boolean;
  /** Milliseconds for which the stream is sure to reject a duplicate of an entry. */
  readonly idsKnownMs: number;
  readonly isOrdered: boolean;
  /** True if the response is stored, provided that it is not too long. */
  readonly keepsResponse: boolean;
  readonly requestBytesMax: number;
  readonly responseBytesMax: number;
  /**
   * The most bytes of a streamed request, whose messages are appended one by one; undefined: a request is stored as one
   * record.
   */
  readonly streamBytesMax: number | undefined;
  /** Returns whether a method streams both ways, so that its entry is appended after its messages. */
  isBidirectional(method: string): boolean;
  /** True if a call with a token needs a valid one, because its keys depend on the end user. */
  readonly readsToken: boolean;
  /**
   * Which fields are private, by method, and who holds their key ("": the holder in the trust log); undefined: there
   * are none.
   */
  readonly privacy:
    | {
        readonly holder: string;
        readonly cuts: ReadonlyMap<string, MethodCuts>;
        /** The field of each method's request that says whom it is about. Empty: `keysOf` says it. */
        readonly subjects: ReadonlyMap<string, SubjectField>;
      }
    | undefined;
  /** Returns whether a call of this method is a write. */
  isWrite(method: string): boolean;
  /** Returns whether a call of this method is a read, which a replica may answer. */
  isRead(method: string): boolean;
  /** Where reads are sent; undefined: to the same instances as all calls. */
  readonly reads: ReadPlan | undefined;
  /** What applications have to know that send reads without their proxies; undefined: none may. */
  readonly direct: DirectPlan | undefined;
  /** Returns whether carrying out a write of this method twice has the effect of carrying it out once. */
  mayRepeat(method: string): boolean;
  /** Returns whether this operator may replay the journal to the application. */
  mayReplay(operator: SpiffeId): boolean;
  /** Returns the keys of a call, or a line that says why they cannot be computed. */
  keysOf(caller: SpiffeId, method: string, inputs: CallInputs): CallKeys | string;
}

/** Compiles the Journal of a unit, or returns undefined if the unit has none. */
export function compileJournal(unit: Unit, mesh: string): JournalPlan | undefined {
  const { name, journals, service } = unit;
  const [journal] = journals;
  if (journal === undefined) return undefined;
  const { idempotencyKey, orderBy, mode, response, rememberKeysMs = defaultRememberKeysMs } = journal;
  const key = idempotencyKey === undefined ? undefined : parseKeyExpression(idempotencyKey);
  const order = orderBy === undefined ? undefined : parseKeyExpression(orderBy);
  const about = journal.private?.subject === undefined ? undefined : parseKeyExpression(journal.private.subject);
  const privacy = journal.private && {
    holder: journal.private.holder ?? "",
    cuts: methodCutsOf(journal.private.fields),
    subjects: subjectsOf(journal.private.subjects ?? []),
  };
  const replayers = new Set((journal.replayers ?? []).map((operator) => buildSpiffeId(mesh, "operator", operator)));
  const isWrite = writesOf(journal, service?.noSideEffects ?? []);
  const isFree = listedIn(service?.noSideEffects ?? []);
  const { reads } = journal;
  const isRead = (method: string): boolean => isFree(method) && !isWrite(method) && method !== feedMethod;
  return Object.freeze({
    mode,
    isKeyed: key !== undefined,
    idsKnownMs: key === undefined ? idsKnownMsMin : Math.max(idsKnownMsMin, rememberKeysMs),
    isOrdered: order !== undefined,
    keepsResponse: response === "bytes",
    requestBytesMax: journal.requestBytesMax ?? defaultMessagesBytesMax,
    responseBytesMax: journal.responseBytesMax ?? defaultMessagesBytesMax,
    streamBytesMax: journal.streamBytesMax,
    readsToken:
      key !== undefined ||
      [order, about].some((one) => one?.reads.has("jwt") === true || one?.reads.has("issuer") === true),
    privacy,
    isWrite,
    isRead,
    direct: reads?.way === "direct" ? compileDirect(unit, journal) : undefined,
    reads:
      reads?.way !== undefined || reads === undefined
        ? undefined
        : {
            name: `${journal.name}/reads`,
            replica: { version: reads.version, labels: reads.labels ?? [] },
            waitMs: reads.waitMs,
            isRead,
          },
    isBidirectional: listedIn(journal.bidirectional ?? []),
    mayRepeat: (method: string) => service !== undefined && isIdempotent(service, method),
    mayReplay: (operator: SpiffeId) => replayers.has(operator),
    keysOf(caller: SpiffeId, method: string, inputs: CallInputs): CallKeys | string {
      const callerService = nameIn(caller, mesh, "service") ?? "";
      const rpcService = serviceOfMethod(method);
      const subject = { caller, callerService, trustDomain: trustDomainOf(caller), method, rpcService };
      const found = key === undefined ? { text: "" } : evaluateKey(key, subject, inputs);
      if ("why" in found) return `the idempotency key of ${name}'s journal ${found.why}`;
      const ordered = order === undefined ? { text: "" } : evaluateKey(order, subject, inputs);
      if ("why" in ordered) return `the order key of ${name}'s journal ${ordered.why}`;
      const keys = { key: found.text, order: ordered.text };
      if (about === undefined || privacy?.cuts.has(method) !== true) return keys;
      const whom = evaluateKey(about, subject, inputs);
      return "why" in whom
        ? `the subject of private fields in ${name}'s journal ${whom.why}`
        : { ...keys, subject: whom.text };
    },
  });
}

function listedIn(patterns: readonly string[]): (method: string) => boolean {
  const listed = new Set(patterns);
  return (method) => listed.has(method) || listed.has("*") || listed.has(`${serviceOfMethod(method)}/*`);
}

function writesOf({ methods = [] }: Journal, noSideEffects: readonly string[]): (method: string) => boolean {
  const isListed = listedIn(methods.length > 0 ? methods : noSideEffects);
  return methods.length > 0 ? isListed : (method) => !isListed(method);
}

function evaluateKey(
  expression: KeyExpression,
  subject: Subject,
  inputs: CallInputs,
): { readonly text: string } | { readonly why: string } {
  const outcome = expression.evaluate(subject, inputs);
  if (outcome instanceof Failure) return { why: `cannot be made: ${outcome.reason}` };
  if (typeof outcome !== "string") return { why: "is not a text" };
  const bytes = Buffer.byteLength(outcome);
  if (bytes === 0) return { why: "is empty" };
  return bytes > journalKeyBytesMax
    ? { why: `has ${bytes} bytes, at most ${journalKeyBytesMax} are allowed` }
    : { text: outcome };
}
