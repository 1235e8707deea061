/** The record of a proxy's decision about a call, with the inputs that are needed to decide it again. */
import { AshlarError } from "../errors.js";
import type { SpiffeId } from "../identity.js";
import type { EdgeProtocol } from "../kinds/gateway/gateway.js";
import type { Label } from "../model.js";
import type { Value } from "../policy/condition/values.js";

/**
 * inbound: whether a call that came in is allowed. outbound: where a call goes. egress: whether a call may leave the
 * mesh. edge: whether a call may come in from outside.
 */
export type DecisionDirection = "inbound" | "outbound" | "egress" | "edge";

export type Verdict = "allowed" | "denied" | "unauthenticated" | "limited" | "routed" | "unrouted";

/**
 * An input of the decision. "digest": the value was too long, so only its digest was recorded; "withheld": the value is
 * a credential.
 */
export type Recorded<Content> =
  | { readonly state: "whole"; readonly value: Content }
  | { readonly state: "missing" | "digest" | "withheld" };

export interface RecordedHeader {
  readonly name: string;
  readonly content: Recorded<string>;
  /** The SHA-256 in hexadecimal of a value that is too long; otherwise empty. */
  readonly digest: string;
}

export interface RecordedClaim {
  readonly name: string;
  readonly content: Recorded<Value>;
}

export interface LimitOutcome {
  readonly name: string;
  readonly passed: boolean;
  readonly pushbackMs: number;
}

/** The values that the rules in question read of a call. Values that they did not read are not recorded. */
export interface DecisionInputs {
  /** Sorted by name. */
  readonly headers: readonly RecordedHeader[];
  /** The address of the caller; undefined: it was not recorded. */
  readonly source: { readonly address: string | undefined } | undefined;
  /** The labels of the proxy that decided, sorted by key; undefined: they were not recorded. */
  readonly labels: readonly Label[] | undefined;
  /** The labels of the caller's proxy; undefined: no condition read them. */
  readonly sourceLabels: readonly Label[] | undefined;
  /** Sorted by name. */
  readonly claims: readonly RecordedClaim[];
  /** The name of the token's issuer; undefined: it was not recorded. */
  readonly issuer: { readonly name: string | undefined } | undefined;
  /** True if `claims` has every claim of the token. */
  readonly claimsComplete: boolean;
}

/** What decided where an outbound call went. */
export interface RoutingInputs {
  /** The random number that chose among the targets, uniform in [0, 1). */
  readonly draw: number;
  /** The versions that had endpoints, sorted. */
  readonly available: readonly string[];
}

export interface DecisionRecord {
  /** The id of the decision (`renderDecisionId`). */
  readonly id: string;
  readonly direction: DecisionDirection;
  /** The service that is called; for direction "edge" the gateway, as policy names it. */
  readonly service: string;
  /** The caller; for direction "edge" the identity of the gateway, under which outside clients call. */
  readonly caller: SpiffeId;
  /**
   * "package.Service/Method". Inbound: the method that arrived and was judged. Outbound: the method that the caller
   * asked for.
   */
  readonly method: string;
  /** Inbound: the method that the caller asked for, if a route's rewrite changed it. */
  readonly calledMethod?: string;
  /** Outbound: the method under which a route's rewrite sends the call on. */
  readonly sentMethod?: string;
  /**
   * Outbound: how often the call was sent before its answer began; undefined: never, or the number was not recorded.
   */
  readonly attempts?: number;
  readonly verdict: Verdict;
  readonly rule: string;
  /**
   * What is wrong with a refused token, for people; never the token itself. Proxies of earlier versions do not record
   * it.
   */
  readonly tokenProblem?: string;
  readonly revision: number;
  readonly epoch: number;
  /** When the call began, in Unix milliseconds. */
  readonly timeMs: number;
  readonly inputs: DecisionInputs;
  /** What routing read; undefined for inbound calls. */
  readonly routing: RoutingInputs | undefined;
  /** The version that an outbound call was sent to; empty: any version. */
  readonly version: string;
  readonly limits: readonly LimitOutcome[];
  /** True if an open stream was judged again when the active revision changed, and was closed. */
  readonly closed: boolean;
  /** True if a shadow candidate made this decision beside the active revision; nothing was enforced. */
  readonly shadow: boolean;
  /**
   * True if the call is a copy made by a route's mirror. Left out: it is no copy, or the proxy is of an earlier
   * version.
   */
  readonly mirrored?: true;
  /**
   * The trace id of a call that was refused or is sampled, 32 hexadecimal digits. Proxies of earlier versions do not
   * record it.
   */
  readonly traceId?: string;
  /** Edge: the protocol that the client speaks. */
  readonly protocol?: EdgeProtocol;
  /** Inbound: the proxy of the application that called without it. Left out: the call came from a proxy. */
  readonly reader?: string;
}

/** A number of similar refusals, which were too many to be recorded one by one. */
export interface RefusalCount {
  /** The caller; empty if the refusals are of several callers. */
  readonly caller: string;
  /** The method; empty if the refusals are of several methods. */
  readonly method: string;
  /** The method that the caller asked for, if a route's rewrite turned it into `method`. */
  readonly calledMethod?: string;
  readonly rule: string;
  readonly verdict: Verdict;
  readonly revision: number;
  readonly count: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The decisions that one proxy sent together. */
export interface DecisionBatch {
  readonly service: string;
  readonly proxyId: string;
  /** The share of decisions other than refusals that is recorded, from 0 to 1. */
  readonly share: number;
  /** How many decisions were dropped since the batch before because the buffer was full. */
  readonly dropped: number;
  readonly counted: readonly RefusalCount[];
  readonly decisions: readonly DecisionRecord[];
}

export const noInputs: DecisionInputs = Object.freeze({
  headers: Object.freeze([]),
  source: undefined,
  labels: undefined,
  sourceLabels: undefined,
  claims: Object.freeze([]),
  issuer: undefined,
  claimsComplete: false,
});

const idGrammar = /^[0-9a-f]{24}$/;
const bitsCount = 2 ** 32;

/** Returns whether the verdict keeps the call from going on. */
export function isRefusal(verdict: Verdict): boolean {
  return verdict !== "allowed" && verdict !== "routed";
}

/**
 * Renders a decision's id: 12 hexadecimal digits of Unix milliseconds, so that a decision is found by its time, then 12
 * random digits. The last 8 digits are `bits`, which also say whether the decision belongs to the share that is
 * recorded.
 */
export function renderDecisionId(timeMs: number, salt: number, bits: number): string {
  const time = Math.max(0, Math.floor(timeMs)).toString(16).padStart(12, "0").slice(-12);
  return `${time}${(salt & 0xffff).toString(16).padStart(4, "0")}${(bits >>> 0).toString(16).padStart(8, "0")}`;
}

/** Returns `text` if it is a decision's id; otherwise fails with `invalid_argument`. */
export function parseDecisionId(text: string): string {
  if (idGrammar.test(text)) return text;
  throw new AshlarError(
    "invalid_argument",
    `not a decision's id: ${JSON.stringify(text.slice(0, 80))}; it has 24 hexadecimal digits`,
  );
}

/** Returns the time of a decision in Unix milliseconds, read from its id. */
export function timeOfDecisionId(id: string): number {
  return Number.parseInt(id.slice(0, 12), 16);
}

/** Returns whether random bits, from 0 to 2^32 - 1, belong to a share from 0 to 1. */
export function isInShare(bits: number, share: number): boolean {
  return bits < share * bitsCount;
}
