/** What a proxy does with the calls of a service that has a Journal. */
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
import type { ReadPlan } from "./read-plan.js";

/** The keys of a call; "": policy asks for none. */
export interface CallKeys {
  readonly key: string;
  readonly order: string;
  /** Whom the private fields of the call are about; left out: it has none. */
  readonly subject?: string;
}

export interface JournalPlan {
  readonly mode: "before" | "after";
  readonly isKeyed: boolean;
  /** Milliseconds for which the stream surely refuses a second copy of an entry. */
  readonly idsKnownMs: number;
  readonly isOrdered: boolean;
  /** The response is kept, as far as it is not too long. */
  readonly keepsResponse: boolean;
  readonly requestBytesMax: number;
  readonly responseBytesMax: number;
  /** Requests of several messages are appended message by message, up to so many bytes; undefined: as one record. */
  readonly streamBytesMax: number | undefined;
  /** Whether messages of this method pass both ways one by one, and its entry comes last. */
  isBidirectional(method: string): boolean;
  /** Calls with a token must have a good one: keys are of the end user's, too. */
  readonly readsToken: boolean;
  /**
   * Which fields are private, by method, and who holds their key ("": the holder in the trust log); undefined: there
   * are none.
   */
  readonly privacy: { readonly holder: string; readonly cuts: ReadonlyMap<string, MethodCuts> } | undefined;
  /** Whether a call of this method is a write. */
  isWrite(method: string): boolean;
  /** Whether a call of this method is a read, which a replica may answer. */
  isRead(method: string): boolean;
  /** Where reads go; undefined: where all calls go. */
  readonly reads: ReadPlan | undefined;
  /** What applications have to know that send reads without their proxies; undefined: none may. */
  readonly direct: DirectPlan | undefined;
  /** Whether a write of this method may be carried out twice with the effect of once. */
  mayRepeat(method: string): boolean;
  /** Whether this operator may send its history to the application. */
  mayReplay(operator: SpiffeId): boolean;
  /** The keys of a call, or a line that says what is wrong with them. */
  keysOf(caller: SpiffeId, method: string, inputs: CallInputs): CallKeys | string;
}

/** Compiles the Journal of a unit; undefined: there is none. */
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
