/** kind: RateLimit */
import { defineKind, type ObjectWith } from "../kind.js";
import { list } from "../list.js";
import { label } from "../names.js";
import { required } from "../record.js";
import { limit } from "./limit.js";
import { limitsMax } from "./limit-grammar.js";

const fields = {
  name: required(1, label, "", "Unique among the rate limits of the mesh; operators see it, callers do not."),
  service: required(2, label, "", "The service that is called."),
  /** The limits, in the order in which they were written. */
  limits: required(
    3,
    list(limit, {
      whenEmpty: "it limits nothing; give it a limit, or leave it out",
      why: (items) => (items.length > limitsMax ? `${items.length} limits, at most ${limitsMax} a service` : undefined),
    }),
    [],
    "A call passes if every limit about it has enough left.",
  ),
};

/** States how often a service may be called. A call passes if every limit about it has enough tokens left. */
export interface RateLimit extends ObjectWith<"RateLimit", typeof fields> {}

export const rateLimit = defineKind("RateLimit", fields, {
  noun: "rate limit",
  about: "How often a service may be called. A call passes if every limit that is about it has enough left.",
  page: "policy-limits.md",
  unit: "service",
  key: "rateLimits",
  number: 6,
  exposes: ({ service }) => service,
  whyNotTogether(unit, objects) {
    const count = objects.reduce((sum, { limits }) => sum + limits.length, 0);
    return count > limitsMax ? `${unit} has ${count} limits, at most ${limitsMax}` : undefined;
  },
  check({ service, limits }, checker) {
    if (!checker.service(service, "service")) return;
    for (const [index, { methods, costs }] of limits.entries()) {
      const place = `limits[${index}]`;
      checker.methods(service, methods, `${place}.methods`);
      for (const { method } of costs) {
        const items = costs.map((_, item) => `${place}.cost[${item}].methods`);
        const at = items.find((each) => checker.isStated(`${each}=${method}`)) ?? `${place}.cost`;
        checker.methods(service, [method], at);
      }
    }
  },
  /** A service may have limits in several objects. Each call must pass all of them. */
  checkAll(objects) {
    const counts = new Map<string, number>();
    for (const { object, checker } of objects) {
      const before = counts.get(object.service) ?? 0;
      const count = before + object.limits.length;
      counts.set(object.service, count);
      if (before > limitsMax || count <= limitsMax || object.limits.length > limitsMax) continue;
      checker.error(
        "limits",
        `${object.service} has ${count} limits with these, at most ${limitsMax} over all its RateLimits`,
      );
    }
  },
});

export type { MethodCost } from "./costs.js";
export type { Limit, LimitKeyPart } from "./limit.js";
export type { Rate } from "./rate.js";
