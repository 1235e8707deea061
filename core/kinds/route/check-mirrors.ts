/** Checks where the rules of a route send copies of calls. */
import type { PolicyChecker } from "../checker.js";
import type { RouteRule } from "./rule.js";
import { renderTarget } from "./targets.js";

type Mirrored = Pick<RouteRule, "split" | "mirror">;

/** The target that a target's calls are copied to, and the index of the rule that does it. */
interface Copying {
  readonly to: string;
  readonly index: number;
}
type Copies = ReadonlyMap<string, readonly Copying[]>;

/**
 * Reports mirrors that form a circle. A copy is never copied again, so calls do not multiply for ever; but each version
 * in a circle gets the other's calls in addition to its own, and their writes happen twice.
 */
export function checkMirrors(rules: readonly Mirrored[], checker: PolicyChecker): void {
  const copies = new Map<string, Copying[]>();
  for (const [index, { split, mirror }] of rules.entries()) {
    if (mirror === undefined) continue;
    const to = renderTarget(mirror);
    const used = split.filter(({ weight }) => weight > 0).map(renderTarget);
    for (const from of used) {
      if (from === to) warnOfOwn(to, used.length, index, checker);
      else listAt(copies, from).push({ to, index });
    }
  }
  const circle = findCircle(copies);
  if (circle === undefined) return;
  const named = circle.targets.join(" to ");
  checker.error(
    `rules[${circle.index}].mirror`,
    `mirrors form a circle: copies go from ${named}; take one of them away`,
  );
}

/**
 * Warns of a rule that copies calls to one of its own targets. If it is the rule's only target, rule.ts reports an
 * error.
 */
function warnOfOwn(to: string, targets: number, index: number, checker: PolicyChecker): void {
  if (targets > 1) checker.warn(`rules[${index}].mirror`, `calls that go to ${to} already are sent there once more`);
}

/**
 * Returns the targets of a circle, the first one again at the end, and the rule that closes it. Linear in the copies.
 */
function findCircle(copies: Copies): { readonly targets: readonly string[]; readonly index: number } | undefined {
  const left = withoutEnds(copies);
  const places = new Map<string, number>();
  let [at] = left;
  while (at !== undefined) {
    places.set(at, places.size);
    const next: Copying | undefined = copies.get(at)?.find(({ to }) => left.has(to));
    const place = next && places.get(next.to);
    if (next !== undefined && place !== undefined)
      return { targets: [...[...places.keys()].slice(place), next.to], index: next.index };
    at = next?.to;
  }
  return undefined;
}

/** Returns the targets from which copies lead into a circle, by removing targets that lead to an end one by one. */
function withoutEnds(copies: Copies): ReadonlySet<string> {
  const left = new Set(copies.keys());
  const open = new Map<string, number>();
  const sources = new Map<string, string[]>();
  for (const [from, all] of copies) {
    open.set(from, all.length);
    for (const { to } of all) listAt(sources, to).push(from);
  }
  const ends = [...sources.keys()].filter((to) => !copies.has(to));
  for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
    for (const from of sources.get(end) ?? []) {
      const others = (open.get(from) ?? 0) - 1;
      open.set(from, others);
      if (others === 0 && left.delete(from)) ends.push(from);
    }
  }
  return left;
}

function listAt<Item>(lists: Map<string, Item[]>, key: string): Item[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}
