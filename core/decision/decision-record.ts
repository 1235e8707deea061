/** What a proxy decided about a call, with what it takes to decide again. */
import { AshlarError } from "../errors.js";
import type { SpiffeId } from "../identity.js";
import type { EdgeProtocol } from "../kinds/gateway/gateway.js";
import type { Label } from "../model.js";
import type { Value } from "../policy/condition/values.js";

/** Whether a call that came in is allowed, where a call goes, whether one may leave the mesh, or come in from outside. */
export type DecisionDirection = "inbound" | "outbound" | "egress" | "edge";

export type Verdict = "allowed" | "denied" | "unauthenticated" | "limited" | "routed" | "unrouted";

/** An input as it was recorded. "digest": it was too long; "withheld": it is a credential. */
export type Recorded<Content> =
  | { readonly state: "whole"; readonly value: Content }
  | { readonly state: "missing" | "digest" | "withheld" };

export interface RecordedHeader {
  readonly name: string;
  readonly content: Recorded<string>;
  /** SHA-256 of a value that is too long, in hexadecimal; else empty. */
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

/** What rules in question read of a call; what they did not read is not there. */
export interface DecisionInputs {
  /** Sorted by name. */
  readonly headers: readonly RecordedHeader[];
  /** undefined: not recorded. */
  readonly source: { readonly address: string | undefined } | undefined;
  /** Sorted by key; undefined: not recorded. */
  readonly labels: readonly Label[] | undefined;
  /** The labels of the caller's proxy; undefined: no condition read them. */
  readonly sourceLabels: readonly Label[] | undefined;
  /** Sorted by name. */
  readonly claims: readonly RecordedClaim[];
  /** The token's issuer; undefined: not recorded. */
  readonly issuer: { readonly name: string | undefined } | undefined;
  /** The claims are all that there are. */
  readonly claimsComplete: boolean;
}

/** What decided about the way of an outbound call. */
export interface RoutingInputs {
  /** Uniform in [0, 1). */
  readonly draw: number;
  /** Versions with endpoints, sorted. */
  readonly available: readonly string[];
}

export interface DecisionRecord {
  /** See `renderDecisionId`. */
  readonly id: string;
  readonly direction: DecisionDirection;
  /** The service that is called; edge: the gateway, as policy names it. */
  readonly service: string;
  /** Edge: the gateway, in whose name outside clients call. */
  readonly caller: SpiffeId;
  /** "package.Service/Method": inbound the one that arrived and was judged, outbound the one that the caller asked for. */
  readonly method: string;
  /** Inbound: the method that the caller asked for, where a route's rewrite changed it. */
  readonly calledMethod?: string;
  /** Outbound: the method under which a route's rewrite sends the call on. */
  readonly sentMethod?: string;
  /** Outbound: how often the call was sent until its answer began; undefined: never, or it was not recorded. */
  readonly attempts?: number;
  readonly verdict: Verdict;
  readonly rule: string;
  /** What is wrong with a refused token, for people; never the token itself. Earlier versions do not record it. */
  readonly tokenProblem?: string;
  readonly revision: number;
  readonly epoch: number;
  /** When the call began. */
  readonly timeMs: number;
  readonly inputs: DecisionInputs;
  /** What routing read; undefined for calls to the own application. */
  readonly routing: RoutingInputs | undefined;
  /** The version that an outbound call went to; empty: any. */
  readonly version: string;
  readonly limits: readonly LimitOutcome[];
  /** An open stream was judged again at a switch, and closed. */
  readonly closed: boolean;
  /** A candidate decided, beside the revision that did; nothing was enforced. */
  readonly shadow: boolean;
  /** The call is a copy, made by a route's mirror. Left out: it is not, or the proxy is of an earlier version. */
  readonly mirrored?: true;
  /** The trace of a call that was refused or is sampled, 32 hexadecimal digits. Earlier versions do not record it. */
  readonly traceId?: string;
  /** Edge: what the client speaks. */
  readonly protocol?: EdgeProtocol;
  /** Inbound: the proxy of the application that called without it. Left out: the call came from a proxy. */
  readonly reader?: string;
}

/** Refusals that are alike and were too many to be recorded one by one. */
export interface RefusalCount {
  /** Empty: of several. */
  readonly caller: string;
  /** Empty: of several. */
  readonly method: string;
  /** The method that the caller asked for, where a route's rewrite made it `method`. */
  readonly calledMethod?: string;
  readonly rule: string;
  readonly verdict: Verdict;
  readonly revision: number;
  readonly count: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What one proxy sent at once. */
export interface DecisionBatch {
  readonly service: string;
  readonly proxyId: string;
  /** The share of decisions other than refusals that is recorded, from 0 to 1. */
  readonly share: number;
  /** Decisions that found no room since the batch before. */
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
 * An id: 12 hexadecimal digits of Unix milliseconds, so that it is found by time, then 12 random ones. The last 8 are
 * `bits`, which also say whether a decision belongs to the share that is recorded.
 */
export function renderDecisionId(timeMs: number, salt: number, bits: number): string {
  const time = Math.max(0, Math.floor(timeMs)).toString(16).padStart(12, "0").slice(-12);
  return `${time}${(salt & 0xffff).toString(16).padStart(4, "0")}${(bits >>> 0).toString(16).padStart(8, "0")}`;
}

/** Checks an id; fails with `invalid_argument`. */
export function parseDecisionId(text: string): string {
  if (idGrammar.test(text)) return text;
  throw new AshlarError(
    "invalid_argument",
    `not a decision's id: ${JSON.stringify(text.slice(0, 80))}; it has 24 hexadecimal digits`,
  );
}

/** When a decision was made, by its id. */
export function timeOfDecisionId(id: string): number {
  return Number.parseInt(id.slice(0, 12), 16);
}

/** Returns whether random bits, from 0 to 2^32 - 1, belong to a share from 0 to 1. */
export function isInShare(bits: number, share: number): boolean {
  return bits < share * bitsCount;
}
