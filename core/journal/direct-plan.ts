/** What an application has to know of a service to read from it directly. */
import type { Journal } from "../kinds/journal/journal.js";
import { matchesAll } from "../kinds/route/check-route.js";
import type { Unit } from "../kinds/table.js";
import { isOfTarget, type PlacedEndpoint } from "../route/choose-target.js";

export interface DirectPlan {
  /** The methods that change nothing, and those that are writes all the same. */
  readonly freeMethods: readonly string[];
  readonly writes: readonly string[];
  /** Whether some rule of the Route sends calls to instances such as this one: others get no direct reads either. */
  takesCalls(endpoint: PlacedEndpoint): boolean;
}

export function compileDirect({ service, routes }: Pick<Unit, "service" | "routes">, journal: Journal): DirectPlan {
  const rules = routes.flatMap((route) => route.rules);
  const isOpen = !rules.some(({ match }) => matchesAll(match)) || rules.some(({ split }) => split.length === 0);
  const targets = rules.flatMap(({ split }) => split).filter(({ weight }) => weight > 0);
  return {
    freeMethods: service?.noSideEffects ?? [],
    writes: journal.methods ?? [],
    takesCalls: (endpoint) => isOpen || targets.some((target) => isOfTarget(target, endpoint)),
  };
}
