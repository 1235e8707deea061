/**
 * What callers' proxies say about the instances that they connect to, for people. No call is routed by it, and no route's
 * problem: whoever holds one proxy's credential can say anything here, of any instance.
 */
import type { Endpoint } from "../../core/model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";
import type { Problem } from "../fleet/problems.js";

/** A proxy that cannot connect to an instance. */
interface Complaint {
  readonly proxyId: string;
  readonly service: string;
  readonly why: string;
}

/** What is said about one instance. */
export interface Testimony {
  /** Proxies that cannot connect to it; the first in the order of their names comes first. */
  readonly against: readonly Complaint[];
  /** How many proxies say that they connected or could not. */
  readonly callers: number;
}

type Placed = Pick<Endpoint, "proxyId" | "address">;

const namedMax = 20;
const callersNamedMax = 3;

/**
 * Returns what live proxies say about `endpoints`, without those that nobody complains about. What is said about an
 * address that an instance does not state any more counts for nothing, nor what an instance says about itself.
 */
export function hearCallers(
  fleet: readonly FleetEntry[],
  endpoints: readonly Placed[],
): ReadonlyMap<string, Testimony> {
  const heard = new Map<string, { readonly against: Complaint[]; callers: number }>();
  const complaining = fleet.filter(({ live, heartbeat }) => live && (heartbeat.reach?.unreached.length ?? 0) > 0);
  if (complaining.length === 0) return heard;
  const addressOf = new Map(endpoints.map(({ proxyId, address }) => [proxyId, address]));
  for (const { heartbeat } of complaining) {
    for (const { proxyId: about, address, why } of heartbeat.reach?.unreached ?? []) {
      if (addressOf.get(about) !== address || about === heartbeat.proxyId) continue;
      const testimony = heard.get(about) ?? { against: [], callers: 0 };
      testimony.against.push({ proxyId: heartbeat.proxyId, service: heartbeat.service, why });
      testimony.callers += 1;
      heard.set(about, testimony);
    }
  }
  for (const { live, heartbeat } of fleet) {
    if (!live || heard.size === 0) continue;
    for (const about of heartbeat.reach?.reached ?? []) {
      const testimony = heard.get(about);
      if (testimony !== undefined && about !== heartbeat.proxyId) testimony.callers += 1;
    }
  }
  return heard;
}

/** Returns whether more callers than not cannot connect, so that one of several says nothing alone. */
export function isOutOfReach({ against, callers }: Testimony): boolean {
  return against.length * 2 > callers;
}

/** Returns the line for people. */
export function renderTestimony(address: string, { against, callers }: Testimony): string {
  const names = against.slice(0, callersNamedMax).map(({ proxyId, service }) => `${proxyId} (${service})`);
  const more = against.length > callersNamedMax ? ` and ${against.length - callersNamedMax} more` : "";
  const who = `${against.length} of ${callers} callers cannot connect to ${address}`;
  return `${who}: ${against[0]?.why ?? ""}; said by ${names.join(", ")}${more}`;
}

/** Returns a problem for each instance that a caller cannot connect to. Only the first few are told in full. */
export function reachProblems(
  endpoints: readonly Pick<Endpoint, "proxyId" | "address" | "service" | "instance">[],
  heard: ReadonlyMap<string, Testimony>,
): readonly Problem[] {
  const found = endpoints.flatMap(({ proxyId, service, instance, address }): Problem[] => {
    const testimony = heard.get(proxyId);
    if (testimony === undefined) return [];
    const what = renderTestimony(address, testimony);
    const remedy = "is that what its --advertise should say?";
    return [
      {
        code: "endpoint-out-of-reach",
        message: `instance ${instance} of ${service}: ${what}; ${remedy}`,
        subject: proxyId,
      },
    ];
  });
  if (found.length <= namedMax) return found;
  const message = `… and ${found.length - namedMax} instances more like the last`;
  return [...found.slice(0, namedMax), { code: "endpoint-out-of-reach", message, subject: "" }];
}
