/**
 * The policy of the in-memory world: one service with the settings that most services have, compiled like any policy.
 */
import type { Digest } from "../../core/digest.js";
import { meshUnitName, unitWith } from "../../core/kinds/unit.js";
import type { Unit } from "../../core/model.js";
import { compileUnit } from "../../core/policy/compile.js";
import type { CallPolicy } from "../ports.js";
import { HeldPolicy } from "../sync/held-revision.js";

export const warmMesh = "warm";
export const warmService = "warm-service";
export const warmCallerService = "warm-caller";
/** The methods that the caller may call. */
export const warmMethods = ["warm.Calls/One", "warm.Calls/Other"] as const;
/** The method that is denied to everybody. */
export const deniedMethod = "warm.Calls/Denied";

const digest = "0".repeat(64) as Digest;
const minuteMs = 60_000;

function unitOfService(): Unit {
  const of = { service: warmService } as const;
  return unitWith(warmService, {
    service: { kind: "Service", name: warmService, methods: [...warmMethods, deniedMethod].sort() },
    authorizations: [
      {
        ...of,
        kind: "Authorization",
        name: "warm",
        allow: [{ from: [warmCallerService], methods: [...warmMethods] }],
        deny: [{ from: ["warm-guest"], methods: [] }],
      },
    ],
    routes: [
      {
        ...of,
        kind: "Route",
        name: "warm",
        rules: [
          { match: { methods: [], headers: [{ name: "x-warm-beta", value: "1" }] }, split: [], timeoutMs: 0 },
          { split: [], timeoutMs: minuteMs },
        ],
      },
    ],
  });
}

/** Returns the policy, which never changes. */
export function openWarmPolicy(): CallPolicy {
  const units = [unitOfService(), unitWith(meshUnitName)];
  const current = new HeldPolicy(1, {
    revision: { digest, body: { number: 1 } },
    list: { units: units.map(({ name }) => ({ name, digest })).sort((a, b) => (a.name < b.name ? -1 : 1)) },
    units: new Map(units.map((unit) => [unit.name, { compiled: compileUnit(unit, warmMesh) }])),
  });
  return {
    current,
    seenEpoch: 1,
    freshnessAgeMs: 0,
    onSwitch: () => () => {},
    useService: async (service) => current.has(service),
    hearOfEpoch: async () => {},
  };
}
