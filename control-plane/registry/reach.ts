/**
 * What callers' proxies report about the instances that they connect to, for people. No call is routed by it, and no
 * route is judged by it: the holder of one proxy's credential can claim anything here about any instance.
 */
import type { Endpoint } from "../../core/model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";
import type { Problem, ProblemCode } from "../fleet/problems.js";

/** A proxy that sends no calls to an instance. */
interface Complaint {
  readonly proxyId: string;
  readonly service: string;
  readonly why: string;
}

/** What is reported about one instance. */
export interface Testimony {
  /** The proxies that cannot connect to it, sorted by name. */
  readonly unreached: readonly Complaint[];
  /** The proxies that can connect and have ejected it because of its answers. */
  readonly ejected: readonly Complaint[];
  /** The number of proxies that report that they connected, could not, or have ejected it. */
  readonly callers: number;
}

interface Hearing {
  readonly unreached: Complaint[];
  readonly ejected: Complaint[];
  readonly callers: Set<string>;
}

type Placed = Pick<Endpoint, "proxyId" | "address">;

const namedMax = 20;
const callersNamedMax = 3;

/**
 * Returns what live proxies report about `endpoints`, without those that nobody complains about. Reports about an
 * address that an instance no longer states are ignored, and so is what an instance reports about itself.
 */
export function hearCallers(
  fleet: readonly FleetEntry[],
  endpoints: readonly Placed[],
): ReadonlyMap<string, Testimony> {
  const heard = new Map<string, Hearing>();
  const complaining = fleet.filter(({ live, heartbeat: { reach } }) => {
    return live && reach !== undefined && (reach.unreached.length > 0 || (reach.ejected?.length ?? 0) > 0);
  });
  if (complaining.length > 0) hearComplaints(complaining, endpoints, heard);
  for (const { live, heartbeat } of fleet) {
    if (!live || heard.size === 0) continue;
    for (const about of heartbeat.reach?.reached ?? [])
      if (about !== heartbeat.proxyId) heard.get(about)?.callers.add(heartbeat.proxyId);
  }
  return new Map([...heard].map(([id, { callers, ...said }]) => [id, { ...said, callers: callers.size }]));
}

function hearComplaints(
  complaining: readonly FleetEntry[],
  endpoints: readonly Placed[],
  heard: Map<string, Hearing>,
): void {
  const addressOf = new Map(endpoints.map(({ proxyId, address }) => [proxyId, address]));
  for (const { heartbeat } of complaining) {
    const { proxyId, service, reach } = heartbeat;
    const hearingOf = (about: string): Hearing | undefined => {
      if (about === proxyId || !addressOf.has(about)) return undefined;
      const hearing = heard.get(about) ?? { unreached: [], ejected: [], callers: new Set() };
      heard.set(about, hearing);
      hearing.callers.add(proxyId);
      return hearing;
    };
    const outOfReach = new Set<string>();
    for (const { proxyId: about, address, why } of reach?.unreached ?? []) {
      if (addressOf.get(about) !== address) continue;
      hearingOf(about)?.unreached.push({ proxyId, service, why });
      outOfReach.add(about);
    }
    for (const { proxyId: about, why } of reach?.ejected ?? [])
      if (!outOfReach.has(about)) hearingOf(about)?.ejected.push({ proxyId, service, why });
  }
}

/** Returns whether most of the reporting callers send it no calls, so that one of several cannot decide alone. */
export function isAvoided({ unreached, ejected, callers }: Testimony): boolean {
  return (unreached.length + ejected.length) * 2 > callers;
}

/** Returns the line for people. */
export function renderTestimony(address: string, testimony: Testimony): string {
  return [renderUnreached(address, testimony), renderEjected(testimony)].filter(Boolean).join("; ");
}

function renderUnreached(address: string, { unreached, callers }: Testimony): string {
  return renderComplaints(unreached, callers, `cannot connect to ${address}`);
}

function renderEjected({ ejected, callers }: Testimony): string {
  return renderComplaints(ejected, callers, "ejected it");
}

function renderComplaints(complaints: readonly Complaint[], callers: number, what: string): string {
  const [first] = complaints;
  if (first === undefined) return "";
  const names = complaints.slice(0, callersNamedMax).map(({ proxyId, service }) => `${proxyId} (${service})`);
  const more = complaints.length > callersNamedMax ? ` and ${complaints.length - callersNamedMax} more` : "";
  return `${complaints.length} of ${callers} callers ${what}: ${first.why}; said by ${names.join(", ")}${more}`;
}

type Instance = Pick<Endpoint, "proxyId" | "address" | "service" | "instance">;

/**
 * Returns a problem for each instance that a caller cannot connect to or has ejected. Only the first few of each are
 * described in full.
 */
export function reachProblems(
  endpoints: readonly Instance[],
  heard: ReadonlyMap<string, Testimony>,
): readonly Problem[] {
  const about = (code: ProblemCode, render: (address: string, testimony: Testimony) => string, remedy: string) => {
    const found = endpoints.flatMap(({ proxyId, service, instance, address }): Problem[] => {
      const testimony = heard.get(proxyId);
      const what = testimony === undefined ? "" : render(address, testimony);
      const message = `instance ${instance} of ${service}: ${what}; ${remedy}`;
      return what === "" ? [] : [{ code, message, subject: proxyId }];
    });
    if (found.length <= namedMax) return found;
    const message = `… and ${found.length - namedMax} instances more like the last`;
    return [...found.slice(0, namedMax), { code, message, subject: "" }];
  };
  return [
    ...about("endpoint-out-of-reach", renderUnreached, "is that what its --advertise should say?"),
    ...about(
      "instance-ejected",
      (_address, testimony) => renderEjected(testimony),
      "their calls go to others where there are enough; look at its application's log",
    ),
  ];
}
