/** A rule of a route, compiled for the data plane. */
import type { ReadPlan } from "../journal/read-plan.js";
import { codeNumber } from "../kinds/amounts.js";
import { renderTarget } from "../kinds/route/targets.js";
import type { HeaderChanges, Hedge, Mirror, Retry, RouteRule, WeightedVersion } from "../model.js";

/** A share of calls, from 0 to 1. */
type Share = number;

export interface CompiledFault {
  readonly abort: { readonly code: number; readonly share: Share } | undefined;
  readonly delay: { readonly timeMs: number; readonly share: Share } | undefined;
}

export interface CompiledMirror extends Mirror {
  readonly share: Share;
}

export interface CompiledRetry extends Omit<Retry, "on"> {
  /** The gRPC status codes that are tried again. */
  readonly on: ReadonlySet<number>;
}

export interface CompiledRouteRule {
  /** The name that operators see, such as "payments/rules[0]". */
  readonly name: string;
  /** Weighted targets; empty: all versions equally. */
  readonly split: readonly WeightedVersion[];
  /** The names of the split's targets for people, in the order of the split. */
  readonly targets: readonly string[];
  /** The keys of the labels that the split reads, sorted. */
  readonly labelKeys: readonly string[];
  readonly failsWhenEmpty: boolean;
  /**
   * What keeps calls on one side of the split: the name of a request header, or true for the caller; undefined:
   * nothing.
   */
  readonly sticky: string | true | undefined;
  /** How long a call may take, in milliseconds; 0: no limit. */
  readonly timeoutMs: number;
  readonly staleness: { readonly maxMs: number; readonly onStale: NonNullable<RouteRule["onStale"]> } | undefined;
  /** False if none of the fields below is set, so that the call is just sent. */
  readonly hasExtras: boolean;
  /** The method under which the call is sent on, "package.Service/Method"; undefined: its own. */
  readonly rewrite: string | undefined;
  readonly retry: CompiledRetry | undefined;
  readonly hedge: Hedge | undefined;
  readonly mirror: CompiledMirror | undefined;
  readonly requestHeaders: HeaderChanges | undefined;
  readonly responseHeaders: HeaderChanges | undefined;
  readonly fault: CompiledFault | undefined;
  /**
   * Set if the rule's calls are reads of a journaled service and `split` names its replica. If the replica has no
   * instance or cannot answer yet, reads go by the rule `primary`; undefined: to any version.
   */
  readonly reads?: { readonly primary: CompiledRouteRule | undefined };
}

/** Compiles a rule. `name` is what operators see: "payments/rules[0]". */
export function compileRouteRule(rule: RouteRule, name: string): CompiledRouteRule {
  const { split, timeoutMs, sticky, whenEmpty, rewrite, retry, hedge, mirror, headers, fault } = rule;
  const extras = {
    rewrite: rewrite?.method,
    retry: retry && { ...retry, on: new Set(retry.on.map(codeNumber)) },
    hedge,
    mirror: mirror && { ...mirror, share: mirror.percent / 10_000 },
    requestHeaders: headers?.request,
    responseHeaders: headers?.response,
    fault: fault && {
      abort: fault.abort && { code: codeNumber(fault.abort.code), share: fault.abort.percent / 10_000 },
      delay: fault.delay && { timeMs: fault.delay.timeMs, share: fault.delay.percent / 10_000 },
    },
  };
  return Object.freeze({
    name,
    split,
    targets: split.map(renderTarget),
    labelKeys: labelKeysOf(split),
    failsWhenEmpty: whenEmpty === "fail",
    sticky: sticky === undefined ? undefined : sticky.header === "" ? true : sticky.header,
    timeoutMs,
    staleness: stalenessOf(rule),
    hasExtras: Object.values(extras).some((extra) => extra !== undefined),
    ...extras,
  });
}

/**
 * Returns the rule for reads that go to a replica: the same as `primary` in everything else, except that reads are not
 * hedged.
 */
export function compileReadRule(
  primary: CompiledRouteRule | undefined,
  { name, replica }: ReadPlan,
): CompiledRouteRule {
  const { labels = [] } = replica;
  const split = [{ ...replica, labels, weight: 1 }];
  const base = primary ?? compileRouteRule({ split: [], timeoutMs: 0 }, name);
  const { rewrite, retry, mirror, requestHeaders, responseHeaders, fault } = base;
  const extras = { rewrite, retry, hedge: undefined, mirror, requestHeaders, responseHeaders, fault };
  return Object.freeze({
    ...base,
    ...extras,
    hasExtras: Object.values(extras).some((extra) => extra !== undefined),
    split,
    targets: split.map(renderTarget),
    labelKeys: [...new Set([...base.labelKeys, ...labelKeysOf(split)])].sort(),
    failsWhenEmpty: false,
    reads: { primary },
  });
}

function labelKeysOf(split: readonly WeightedVersion[]): readonly string[] {
  return [...new Set(split.flatMap(({ labels = [] }) => labels.map(({ key }) => key)))].sort();
}

function stalenessOf({ maxStalenessMs: maxMs, onStale }: RouteRule): CompiledRouteRule["staleness"] {
  return maxMs === undefined || onStale === undefined ? undefined : Object.freeze({ maxMs, onStale });
}
