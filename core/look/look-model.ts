/** Looking at calls: the orders that operators send to proxies, and the reports that answer them (decision 0046). */
import type { SpiffeId } from "../identity.js";

/** Which single calls to report. An empty text, false or 0 stands for "any". */
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
  /** The filter of single calls; undefined: only counts of calls are asked for. */
  readonly tap: TapFilter | undefined;
  /** The operator who asked. */
  readonly operator: SpiffeId;
  /** When the order was issued, in Unix milliseconds. */
  readonly issuedMs: number;
  /** How long proxies report, in milliseconds; 0: they stop. */
  readonly validMs: number;
  /** Proxies tell counts so often. */
  readonly everyMs: number;
}

/** The most milliseconds for which one order is valid. */
export const lookValidMsMax = 30_000;
/** The shortest and the longest time between two reports of a proxy's counts, in milliseconds. */
export const countsEveryMs = { min: 1000, max: 5000 };
/** Reports of counts that a control plane asks for in a second, while the longest time between them suffices for it. */
const reportsPerSecond = 50;

/** How often each of `proxies` live proxies is asked for counts, in milliseconds: whole seconds. */
export function askEveryMs(proxies: number): number {
  const ms = Math.ceil(proxies / reportsPerSecond) * 1000;
  return Math.min(Math.max(ms, countsEveryMs.min), countsEveryMs.max);
}

/** Counts of similar calls that ended in a proxy within the interval of a report. */
export interface TrafficCounts {
  /** True: calls of the proxy's own service to `other`; false: calls of `other` to it. */
  readonly outbound: boolean;
  /** A service, "gateway/NAME", a SPIFFE ID, or `otherCalls`. */
  readonly other: string;
  readonly method: string;
  /** The version of the called instance; "" if no instance was called. */
  readonly version: string;
  /** Counts of calls by gRPC status; the index is the status. */
  readonly codes: readonly number[];
  /** Counts of calls by duration: one for each bound in `callBoundsMs`, and a last one for longer calls. */
  readonly took: readonly number[];
  /** The number of streams that were opened for the calls. */
  readonly streams: number;
}

export interface TrafficReport {
  readonly order: string;
  readonly intervalMs: number;
  readonly counts: readonly TrafficCounts[];
}

/** The name under which a report adds up the calls that have no entry of their own. */
export const otherCalls = "other";
/** The most entries of counts in a report. */
export const countsToldMax = 400;
/** The number of gRPC status codes, which are 0 to 16. */
export const codesCount = 17;
/** Upper bounds of the classes of duration, in milliseconds. */
export const callBoundsMs: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000,
];

/** A call that has ended, as a tap shows it. */
export interface TappedCall {
  readonly timeMs: number;
  /** True if the caller's proxy reports the call, because the called service's proxy did not answer. */
  readonly outbound: boolean;
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly version: string;
  readonly code: number;
  /** Why the proxy itself answered the call; "": the application answered. */
  readonly reason: string;
  readonly tookMs: number;
  readonly revision: number;
  readonly decision: string;
  /** In a report of the called service's proxy the number of the try, from 1; otherwise the number of all tries. */
  readonly attempts: number;
  readonly traceId: string;
}

export interface TapReport {
  readonly order: string;
  readonly calls: readonly TappedCall[];
  readonly dropped: number;
}

/** The most calls in a report, and the most calls that a proxy reports in a second. */
export const tappedCallsMax = 200;
/** The longest name in a report, in characters. */
export const toldNameMax = 512;

const refusals: ReadonlySet<number> = new Set([7, 8, 16]);
const failures: ReadonlySet<number> = new Set([2, 4, 13, 14, 15]);

/** Returns whether a call with this status was refused: by authorization, because of its token, or by a limit. */
export function isRefusalStatus(code: number): boolean {
  return refusals.has(code);
}

/** Returns whether a call with this status failed for a reason other than its own request. */
export function isFailureStatus(code: number): boolean {
  return failures.has(code);
}

/** Returns whether a method matches a filter, which names the method itself or "package.Service/*". */
export function isMethodOf(filter: string, method: string): boolean {
  return filter.endsWith("/*") ? method.startsWith(filter.slice(0, -1)) : method === filter;
}

/** Describes a filter for people: "calls to payments by checkout, refused". */
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
