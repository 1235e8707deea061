/** Finds rules of routes whose targets have no instance that takes calls now. Pure. */
import { renderTarget } from "../../core/kinds/route/targets.js";
import type { Endpoint, Unit, WeightedVersion } from "../../core/model.js";
import { isOfTarget, type PlacedEndpoint } from "../../core/route/choose-target.js";
import type { Problem, ProblemCode } from "./problems.js";

/** The targets of one rule of a route. */
export interface RoutedTargets {
  readonly service: string;
  /** The rule's name for operators, such as "payments/rules[0]". */
  readonly rule: string;
  /** The targets with a weight above 0, or the target of copies; not empty. */
  readonly targets: readonly Pick<WeightedVersion, "version" | "labels">[];
  /**
   * What happens to the calls for a target without instances: they go to the others, are answered 14, are not copied,
   * or (reads of a journaled service) go to the primary.
   */
  readonly whenEmpty: "spill" | "fail" | "no copies" | "primary";
}

type Instance = PlacedEndpoint & Partial<Pick<Endpoint, "instance" | "reportsApplied">>;

const namedMax = 20;

/** Returns the services whose reads may go direct, sorted. */
export function directlyRead(units: readonly Unit[]): readonly string[] {
  return units
    .filter(({ journals }) => journals.some(({ reads }) => reads?.way === "direct"))
    .map(({ name }) => name)
    .sort();
}

/** Returns the split and the mirror of every rule. A rule without a split takes whichever version there is. */
export function routedTargets(units: readonly Unit[]): readonly RoutedTargets[] {
  return units.flatMap(({ name: service, routes, journals }) => [
    ...journals.flatMap(({ name, reads }): readonly RoutedTargets[] =>
      reads === undefined || reads.way === "direct" // direct reads have no replica: they go to whichever instance
        ? []
        : [{ service, rule: `${name}/reads`, targets: [reads], whenEmpty: "primary" }],
    ),
    ...routes.flatMap(({ name, rules }) =>
      rules.flatMap(({ split, whenEmpty = "spill", mirror }, index): readonly RoutedTargets[] => {
        const targets = split.filter(({ weight }) => weight > 0);
        const rule = `${name}/rules[${index}]`;
        return [
          ...(targets.length === 0 ? [] : [{ service, rule, targets, whenEmpty }]),
          ...(mirror === undefined ? [] : [{ service, rule, targets: [mirror], whenEmpty: "no copies" as const }]),
        ];
      }),
    ),
  ]);
}

/**
 * Returns a problem for each rule with a target that has no instance. It says what happens to its calls: that share
 * goes elsewhere, or is answered 14; or all calls of the rule are; or calls are not copied. Only the first few problems
 * are described in full. `served`: the healthy instances, by service.
 */
export function emptyRoutes(
  routed: readonly RoutedTargets[],
  served: ReadonlyMap<string, readonly Instance[]>,
): readonly Problem[] {
  const found = routed.flatMap((rule) => problemOf(rule, served.get(rule.service) ?? []));
  if (found.length <= namedMax) return found;
  const message = `… and ${found.length - namedMax} routes more like the last`;
  const code = found[namedMax]?.code ?? "route-without-instance";
  return [...found.slice(0, namedMax), { code, message, subject: "" }];
}

function problemOf(routed: RoutedTargets, there: readonly Instance[]): Problem[] {
  const { service, rule, targets, whenEmpty } = routed;
  const empty = targets.filter((target) => !there.some((endpoint) => isOfTarget(target, endpoint)));
  if (empty.length === 0) return whenEmpty === "primary" ? silentReplicas(routed, there) : [];
  const names = empty.map(renderTarget);
  const named = names.length === 1 ? `version ${names[0]}` : `versions ${names.join(", ")}`;
  const others = [...new Set(there.map(({ version }) => version))].sort().join(", ");
  const versions = others === "" ? "it has no healthy instance at all" : `healthy instances are of ${others}`;
  const { code, what } = consequence(whenEmpty, empty.length === targets.length);
  const message = `${whenEmpty === "primary" ? "journal" : "route"} ${rule}: ${service} has no healthy instance of ${named}, so ${what}; ${versions}`;
  return [{ code, message, subject: `${service} ${names.join(",")}` }];
}

/** Returns a problem for each instance of the replica whose application does not report what it has applied. */
function silentReplicas({ service, rule, targets }: RoutedTargets, there: readonly Instance[]): Problem[] {
  return there
    .filter((one) => one.reportsApplied !== true && targets.some((target) => isOfTarget(target, one)))
    .map(({ instance = "" }) => ({
      code: "replica-silent",
      message: `journal ${rule}: the application of ${instance} of ${service} does not report what it has applied, so reads that name a write go to the primary`,
      subject: instance,
    }));
}

function consequence(
  whenEmpty: RoutedTargets["whenEmpty"],
  isAll: boolean,
): { readonly code: ProblemCode; readonly what: string } {
  if (whenEmpty === "primary") return { code: "replica-without-instance", what: "reads go to the primary" };
  if (whenEmpty === "no copies") return { code: "mirror-without-instance", what: "no copies of calls go there" };
  if (isAll) return { code: "route-without-instance", what: "its calls are answered 14" };
  const share = whenEmpty === "fail" ? "is answered 14" : "goes to the others";
  return { code: "version-without-instance", what: `that share of its calls ${share}` };
}
