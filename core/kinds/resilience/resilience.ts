/** kind: Resilience */
import { defineKind, type ObjectWith } from "../kind.js";
import { label } from "../names.js";
import { maybe, required } from "../record.js";
import { wholeNumber } from "../types.js";
import { balance, breaker, health, locality, outliers, panicShare, wait } from "./fields.js";

const fields = {
  name: required(1, label, "", "Unique among the resilience objects of the mesh."),
  service: required(2, label, "", "The service that is called; at most one Resilience a service."),
  balance: maybe(3, balance, "Which instance gets a call; left out: leastRequest."),
  locality: maybe(4, locality, "Prefers instances that are near."),
  slowStartMs: maybe(5, wait(1000, 3_600_000), "For so long a new instance gets a share that grows from a tenth.", {
    name: "slowStart",
  }),
  subset: maybe(
    6,
    wholeNumber(1, 10_000),
    "Each caller's proxy uses only so many instances, always the same as long as they are there; for large services.",
  ),
  health: maybe(
    7,
    health,
    "How a proxy sees whether its application can be called; left out: by grpc.health.v1 where `--app` answers it.",
  ),
  outliers: maybe(
    8,
    outliers,
    "Which instances a caller's proxy stops to call for a while because of what they answered.",
  ),
  panicBelow: maybe(
    9,
    panicShare,
    "While fewer of the instances are healthy, health and ejection are ignored; left out: 30%.",
  ),
  breaker: maybe(10, breaker, "Bounds on what one caller's proxy has open to the service at once."),
};

const outside = {
  locality: "its addresses have no labels",
  health: "no proxy checks what is outside; outliers judge its addresses by what they answer",
} as const;

/** States how calls to a service are spread over its instances, and which instances are left out. */
export interface Resilience extends ObjectWith<"Resilience", typeof fields> {}

export const resilience = defineKind("Resilience", fields, {
  noun: "resilience",
  about: "How calls to a service are spread over its instances, and which instances are left out for how long.",
  page: "policy-resilience.md",
  unit: "service",
  key: "resilience",
  number: 8,
  isOnePerService: true,
  exposes: ({ service }) => service,
  check(object, checker) {
    const { service, outliers, health } = object;
    if (!checker.service(service, "service")) return;
    if (checker.isOutside(service))
      for (const field of ["locality", "health"] as const)
        if (object[field] !== undefined) checker.error(field, `${service} is an Egress: ${outside[field]}`);
    if (outliers !== undefined && outliers.baseEjectionMs > outliers.maxEjectionMs)
      checker.error("outliers", "baseEjection is longer than maxEjection");
    if (health !== undefined && health.timeoutMs > health.intervalMs)
      checker.warn(
        "health",
        "timeout is longer than interval, so checks of an application that hangs are further apart",
      );
  },
});

export type { Balance, Breaker, Health, Locality, Outliers } from "./fields.js";
