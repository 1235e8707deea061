/** Looking at calls: what operators ask of proxies, and what those answer (decision 0046). */
import type { SpiffeId } from "../identity.js";

/** Which single calls are asked for. What is "", false or 0 is not asked for. */
export interface TapFilter {
  readonly service: string;
  /** A service, "gateway/NAME" or a SPIFFE ID. */
  readonly caller: string;
  /** "package.Service/Method", or "package.Service/*". */
  readonly method: string;
  readonly refused: boolean;
  readonly slowMs: number;
}

export interface LookOrder {
  /** 32 hexadecimal digits, the same in every order of one look. */
  readonly id: string;
  /** undefined: counts of calls are asked for, and no single ones. */
  readonly tap: TapFilter | undefined;
  /** The operator who asked. */
  readonly operator: SpiffeId;
  /** Unix milliseconds. */
  readonly issuedMs: number;
  /** 0: proxies answer no more. */
  readonly validMs: number;
  /** Proxies tell counts so often. */
  readonly everyMs: number;
}

/** The longest that one order is valid. */
export const lookValidMsMax = 30_000;
/** The shortest and the longest time between two reports of a proxy's counts, in milliseconds. */
export const countsEveryMs = { min: 1000, max: 5000 };
/** Reports of counts that a control plane asks for in a second, while the longest time between them suffices for it. */
const reportsPerSecond = 100;

/** How often each of `proxies` live proxies is asked for counts, in milliseconds: whole seconds. */
export function askEveryMs(proxies: number): number {
  const ms = Math.ceil(proxies / reportsPerSecond) * 1000;
  return Math.min(Math.max(ms, countsEveryMs.min), countsEveryMs.max);
}

/** Calls of one kind that ended in a proxy within the interval of a report. */
export interface TrafficCounts {
  /** True: calls of the proxy's own service to `other`; false: calls of `other` to it. */
  readonly outbound: boolean;
  /** A service, "gateway/NAME", a SPIFFE ID, or `otherCalls`. */
  readonly other: string;
  readonly method: string;
  /** "" if no instance was called. */
  readonly version: string;
  /** Calls by gRPC status; the place is the status. */
  readonly codes: readonly number[];
  /** Calls by how long they took: one place for each of `callBoundsMs`, and one for those that took longer. */
  readonly took: readonly number[];
  /** Streams that were opened for them. */
  readonly streams: number;
}

export interface TrafficReport {
  readonly order: string;
  readonly intervalMs: number;
  readonly counts: readonly TrafficCounts[];
}

/** What a report calls that which found no room of its own. */
export const otherCalls = "other";
/** The most kinds of calls in a report. */
export const countsToldMax = 400;
/** The gRPC statuses are 0 to 16. */
export const codesCount = 17;
/** Calls are counted by how long they took at most, in milliseconds. */
export const callBoundsMs: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000,
];

/** A call that is over, as a tap shows it. */
export interface TappedCall {
  readonly timeMs: number;
  /** True: the caller's proxy tells it, since it had no answer of the called service's proxy. */
  readonly outbound: boolean;
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  readonly code: number;
  /** Why the proxy answered itself; "": the application answered. */
  readonly reason: string;
  readonly tookMs: number;
  readonly revision: number;
  readonly decision: string;
  /** Which try it was, from 1, if the called service's proxy tells it; else how many tries there were. */
  readonly attempts: number;
  readonly traceId: string;
}

export interface TapReport {
  readonly order: string;
  readonly calls: readonly TappedCall[];
  readonly dropped: number;
}

/** The most calls in a report, and the most that a proxy tells in a second. */
export const tappedCallsMax = 200;
/** The longest name in a report, in characters. */
export const toldNameMax = 512;

const refusals: ReadonlySet<number> = new Set([7, 8, 16]);
const failures: ReadonlySet<number> = new Set([2, 4, 13, 14, 15]);

/** Whether a call with this status was refused: by authorization, for its token, or by a limit. */
export function isRefusalStatus(code: number): boolean {
  return refusals.has(code);
}

/** Whether a call with this status failed, and not by what its caller asked for. */
export function isFailureStatus(code: number): boolean {
  return failures.has(code);
}

/** Whether a method is what a filter names: itself, or one of its service. */
export function isMethodOf(filter: string, method: string): boolean {
  return filter.endsWith("/*") ? method.startsWith(filter.slice(0, -1)) : method === filter;
}

/** For people: "calls to payments by checkout, refused". */
export function describeTap({ service, caller, method, refused, slowMs }: TapFilter): string {
  const words = [
    "calls",
    ...(service === "" ? [] : [`to ${service}`]),
    ...(method === "" ? [] : [`of ${method}`]),
    ...(caller === "" ? [] : [`by ${caller}`]),
  ].join(" ");
  const marks = [...(refused ? ["refused"] : []), ...(slowMs > 0 ? [`${slowMs} ms or longer`] : [])];
  return [words, ...marks].join(", ");
}
