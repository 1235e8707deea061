/** Chooses the target of a split that a call goes to. */
import type { Label, WeightedVersion } from "../model.js";
import type { CompiledRouteRule } from "../policy/compiled-route.js";
import { fractionsOf, type Salt, saltOf } from "./stable-hash.js";

/** Where a call goes: to one target, to any endpoint (there is no split), or nowhere. */
export type TargetChoice =
  | { readonly kind: "target"; readonly target: WeightedVersion }
  | { readonly kind: "any" }
  /** The chosen target has no endpoint; undefined: no target of the split has one. */
  | { readonly kind: "none"; readonly target: WeightedVersion | undefined };

const any: TargetChoice = Object.freeze({ kind: "any" });
const none: TargetChoice = Object.freeze({ kind: "none", target: undefined });

/** What the choice among the targets of a split depends on. */
export interface SplitPick {
  /** A random number, uniform in [0, 1). It decides if there is no key. */
  readonly draw: number;
  /** The value that the call sticks to; undefined if none. */
  readonly key: string | undefined;
  /** The called service. With the target's name it salts the hash, so that a new revision moves no key. */
  readonly service: string;
  /** Whether calls for a target without endpoints are answered 14; otherwise they go to the other targets. */
  readonly failsWhenEmpty: boolean;
}

/** What splits read of an endpoint. */
export interface PlacedEndpoint {
  readonly version: string;
  readonly labels: readonly Label[];
}

/** Returns whether an endpoint belongs to a target. */
export function isOfTarget(
  { version, labels = [] }: Pick<WeightedVersion, "version" | "labels">,
  endpoint: PlacedEndpoint,
): boolean {
  if (version !== "" && version !== endpoint.version) return false;
  return labels.every(({ key, value }) => endpoint.labels.some((one) => one.key === key && one.value === value));
}

/**
 * Chooses a target of `split`. Weights are relative to each other. A target of weight 0 gets no call, nor does an
 * endpoint outside the split. `names` has the name of each target as `renderTarget` writes it.
 */
export function chooseTarget(
  split: readonly WeightedVersion[],
  names: readonly string[],
  pick: SplitPick,
  hasEndpoint: (target: WeightedVersion) => boolean,
): TargetChoice {
  if (split.length === 0) return any;
  const { draw, key, service, failsWhenEmpty } = pick;
  const has = split.map(hasEndpoint);
  const isUsable = split.map(({ weight }, index) => weight > 0 && (failsWhenEmpty || has[index] === true));
  const index =
    key === undefined
      ? indexByDraw(split, isUsable, draw)
      : indexByKey(
          split,
          isUsable,
          names.map((name) => saltOf(service, name)),
          key,
        );
  const target = split[index];
  if (target === undefined) return none;
  return failsWhenEmpty && has[index] !== true ? { kind: "none", target } : { kind: "target", target };
}

/** Returns the index of the usable target that a draw chooses, or -1 if no target is usable. */
export function indexByDraw(split: readonly WeightedVersion[], isUsable: readonly boolean[], draw: number): number {
  let sum = 0;
  for (let index = 0; index < split.length; index++)
    if (isUsable[index] === true) sum += (split[index] as WeightedVersion).weight;
  let left = draw * sum;
  let last = -1; // rounding can leave nothing below zero
  for (let index = 0; index < split.length; index++) {
    if (isUsable[index] !== true) continue;
    last = index;
    left -= (split[index] as WeightedVersion).weight;
    if (left < 0) return index;
  }
  return last;
}

/**
 * Weighted rendezvous hashing: each target draws a number for the key, and the one with the greatest chance wins. A key
 * moves only to a target whose weight grew, or away from one that shrank or has no endpoint (Schindelhauer and
 * Schomaker, "Weighted distributed hash tables", 2005: the logarithmic method). `salts` are those of the targets' names.
 * Returns the index of the target, or -1 if none is usable.
 */
export function indexByKey(
  split: readonly WeightedVersion[],
  isUsable: readonly boolean[],
  salts: readonly Salt[],
  key: string,
): number {
  const fractions = fractionsOf(salts, key);
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let index = 0; index < split.length; index++) {
    if (isUsable[index] !== true) continue;
    const wait = -Math.log(fractions[index] as number) / (split[index] as WeightedVersion).weight;
    if (wait >= least) continue;
    best = index;
    least = wait;
  }
  return best;
}

/** Returns the value that a rule's calls stick to, or undefined if the rule asks for none or the call lacks it. */
export function stickyKey(
  { sticky }: Pick<CompiledRouteRule, "sticky">,
  header: (name: string) => string | undefined,
  caller: string,
): string | undefined {
  if (sticky === undefined) return undefined;
  return sticky === true ? caller : header(sticky);
}

/**
 * Chooses a target by a rule among the endpoints that exist. Without a rule any endpoint will do. Reads whose replica
 * has no endpoint go by the rule of the primary.
 */
export function chooseAmong(
  rule: Pick<CompiledRouteRule, "split" | "targets" | "failsWhenEmpty" | "reads"> | undefined,
  pick: Omit<SplitPick, "failsWhenEmpty">,
  endpoints: readonly PlacedEndpoint[],
): TargetChoice {
  if (rule === undefined) return any;
  const { split, targets, failsWhenEmpty } = rule;
  const has = (target: WeightedVersion): boolean => endpoints.some((endpoint) => isOfTarget(target, endpoint));
  const { draw, key, service } = pick;
  const choice = chooseTarget(split, targets, { draw, key, service, failsWhenEmpty }, has);
  return choice.kind === "none" && rule.reads !== undefined ? chooseAmong(rule.reads.primary, pick, endpoints) : choice;
}
