/** Rules of routes that lead nowhere now: none of their versions has an instance that takes calls. Pure. */
import type { Unit } from "../../core/model.js";
import type { Problem } from "./problems.js";

/** The versions that one rule of a route gives calls to. */
export interface RoutedVersions {
  readonly service: string;
  /** As operators know it: "payments/rules[0]". */
  readonly rule: string;
  readonly versions: readonly string[];
}

const namedMax = 20;

/** Every rule that names versions. A rule without a split takes whichever version there is. */
export function routedVersions(units: readonly Unit[]): readonly RoutedVersions[] {
  return units.flatMap(({ name: service, routes }) =>
    routes.flatMap(({ name, rules }) =>
      rules.flatMap(({ split }, index) => {
        const versions = split.filter(({ weight }) => weight > 0).map(({ version }) => version);
        // which instances have labels is not known here, so a rule with a target by labels alone is not judged
        return versions.length === 0 || versions.includes("")
          ? []
          : [{ service, rule: `${name}/rules[${index}]`, versions }];
      }),
    ),
  );
}

/** The rules whose calls are answered 14, the first few in full. `served`: versions with healthy instances, by service. */
export function emptyRoutes(
  routed: readonly RoutedVersions[],
  served: ReadonlyMap<string, ReadonlySet<string>>,
): readonly Problem[] {
  const empty = routed.filter(({ service, versions }) => !versions.some((each) => served.get(service)?.has(each)));
  const problems = empty.slice(0, namedMax).map(({ service, rule, versions }): Problem => {
    const named = versions.length === 1 ? `version ${versions[0]}` : `versions ${versions.join(", ")}`;
    const others = [...(served.get(service) ?? [])].sort().join(", ");
    const there = others === "" ? "it has no healthy instance at all" : `healthy instances are of ${others}`;
    const message = `route ${rule}: ${service} has no healthy instance of ${named}, so its calls are answered 14; ${there}`;
    return { code: "route-without-instance", message, subject: `${service} ${versions.join(",")}` };
  });
  if (empty.length <= namedMax) return problems;
  const message = `… and ${empty.length - namedMax} routes more like the last`;
  return [...problems, { code: "route-without-instance", message, subject: "" }];
}
