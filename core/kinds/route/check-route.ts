/** What is wrong with a route beside the rest of the policy and the fleet. */
import type { PolicyChecker } from "../checker.js";

interface Routed {
  readonly service: string;
  readonly rules: readonly {
    readonly match?: { readonly methods: readonly string[]; readonly headers: readonly unknown[] } | undefined;
    readonly split: readonly { readonly version: string; readonly weight: number }[];
  }[];
}

export function checkRoute({ service, rules }: Routed, checker: PolicyChecker): void {
  if (!checker.service(service, "service")) return;
  const versions = checker.context.knownVersions;
  const known = versions?.get(service) ?? new Set<string>();
  let catchAll: number | undefined;
  let reported = false;
  for (const [index, { match, split }] of rules.entries()) {
    const place = `rules[${index}]`;
    checker.methods(service, match?.methods ?? [], `${place}.match.methods`);
    for (const { version, weight } of versions === undefined ? [] : split) {
      if (version === "" || weight === 0 || known.has(version)) continue;
      const nearest = checker.nearest(version, () => known);
      const message = `no endpoint of ${service} has version ${JSON.stringify(version)} now${nearest}`;
      checker.warn(`${place}.split=${version}`, message);
    }
    if (catchAll !== undefined && !reported && checker.whole) {
      reported = true;
      checker.warn(place, `never reached: rules[${catchAll}] takes every call before it`);
    }
    const all = match === undefined || (match.headers.length === 0 && match.methods.includes("*"));
    if (all) catchAll ??= index;
  }
}
