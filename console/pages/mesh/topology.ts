/** The topology of the mesh: what exists, who calls whom, and how the calls go. */
import type { ServiceInfo } from "../../api/messages.js";
import type { TrafficPair } from "../../api/traffic-messages.js";
import type { Policy } from "./policy.js";

export type NodeKind = "service" | "gateway" | "egress" | "outside";

export interface MeshNode {
  /** The name of the service, gateway or caller: "payments", "gateway/storefront", or a SPIFFE ID. */
  readonly id: string;
  readonly kind: NodeKind;
  readonly versions: readonly MeshVersion[];
  /** Calls to it per second. */
  readonly rate: number;
  /** Calls that it makes, per second. */
  readonly outRate: number;
  /** How many instances take no calls because they are unhealthy. */
  readonly unhealthy: number;
  readonly instances: number;
}

export interface MeshVersion {
  readonly name: string;
  readonly instances: number;
  /** The share of calls that the route gives this version. undefined: the route has no split. */
  readonly share: number | undefined;
  readonly rate: number;
}

export interface MeshEdge {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** Whether policy allows any call on this edge. */
  readonly allowed: boolean;
  readonly figures: Figures;
  /** The figures of each kind of call that was made. */
  readonly calls: readonly TrafficPair[];
}

/** How calls go: rates per second, and durations in milliseconds. */
export interface Figures {
  readonly rate: number;
  readonly refusedRate: number;
  readonly failedRate: number;
  /** The share of calls that neither failed nor were refused. 1 if there were no calls. */
  readonly success: number;
  /**
   * The median duration by kinds of calls, weighted by calls. Below: the p99 of the slowest kind. Both in milliseconds.
   */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Topology {
  readonly nodes: readonly MeshNode[];
  readonly edges: readonly MeshEdge[];
}

export interface Traffic {
  readonly windowMs: number;
  readonly pairs: readonly TrafficPair[];
}

export const edgeId = (from: string, to: string): string => `${from} → ${to}`;

/** Combines policy, running instances and traffic into one topology, sorted by name. */
export function buildTopology(policy: Policy, services: readonly ServiceInfo[], traffic: Traffic): Topology {
  const kinds = new Map<string, NodeKind>();
  for (const { name } of services) kinds.set(name, "service");
  for (const { name, kind } of policy.services) kinds.set(name, kind);
  for (const { name } of policy.gateways) kinds.set(`gateway/${name}`, "gateway");
  const edges = new Map<string, { from: string; to: string; allowed: boolean; calls: TrafficPair[] }>();
  const edgeOf = (from: string, to: string) => {
    const id = edgeId(from, to);
    const edge = edges.get(id) ?? { from, to, allowed: false, calls: [] };
    edges.set(id, edge);
    for (const end of [from, to]) if (!kinds.has(end)) kinds.set(end, kindOfName(end));
    return edge;
  };
  for (const { from, service } of policy.allows)
    for (const caller of from) if (caller !== "*") edgeOf(caller, service).allowed = true;
  for (const pair of traffic.pairs) {
    if (pair.caller === "" || pair.service === "" || pair.calls === 0) continue;
    edgeOf(pair.caller, pair.service).calls.push(pair);
  }
  const open = openServices(policy);
  const built = [...edges].map(
    ([id, { from, to, allowed, calls }]): MeshEdge => ({
      id,
      from,
      to,
      allowed: allowed || open.has(to),
      figures: figuresOf(calls, traffic.windowMs),
      calls,
    }),
  );
  const nodes = [...kinds].map(([id, kind]) => buildNode(id, kind, policy, services, traffic));
  return { nodes: nodes.sort(byId), edges: built.sort(byId) };
}

/** Returns the services that some rule opens to every caller. */
const openServices = ({ allows }: Policy): ReadonlySet<string> =>
  new Set(allows.filter(({ from }) => from.includes("*")).map(({ service }) => service));

/** How many edges without current calls are kept, so that the picture does not jump when calls pause. */
const keptMax = 2000;
const rest: Figures = { rate: 0, refusedRate: 0, failedRate: 0, success: 1, p50Ms: 0, p99Ms: 0 };

/**
 * Returns `topology` with the edges of `kept` that it lacks, and adds its own edges to `kept`. No rule names both ends
 * of such an edge any more, so only a rule for every caller can still allow it.
 */
export function keepEdges(topology: Topology, kept: Map<string, MeshEdge>, policy: Policy): Topology {
  const there = new Set(topology.edges.map(({ id }) => id));
  const nodes = new Set(topology.nodes.map(({ id }) => id));
  for (const [id, { from, to }] of kept) if (!nodes.has(from) || !nodes.has(to)) kept.delete(id);
  for (const edge of topology.edges) if (kept.size < keptMax) kept.set(edge.id, edge);
  const gone = [...kept.values()].filter(({ id }) => !there.has(id));
  if (gone.length === 0) return topology;
  const open = openServices(policy);
  const resting = gone.map((edge) => ({ ...edge, allowed: open.has(edge.to), figures: rest, calls: [] }));
  return { ...topology, edges: [...topology.edges, ...resting] };
}

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1);

const kindOfName = (name: string): NodeKind => (name.startsWith("gateway/") ? "gateway" : "outside");

function buildNode(
  id: string,
  kind: NodeKind,
  policy: Policy,
  services: readonly ServiceInfo[],
  { pairs, windowMs }: Traffic,
): MeshNode {
  const endpoints = services.find(({ name }) => name === id)?.endpoints ?? [];
  const split = policy.splits.find(({ service }) => service === id)?.targets ?? [];
  const calls = pairs.filter(({ service }) => service === id);
  const perSecond = (some: readonly TrafficPair[]): number => rateOf(sum(some, "calls"), windowMs);
  const names = new Set([...endpoints.map(({ version }) => version), ...split.map(({ version }) => version)]);
  return {
    id,
    kind,
    versions: [...names].sort().map((name) => ({
      name,
      instances: endpoints.filter(({ version }) => version === name).length,
      share: split.find(({ version }) => version === name)?.share,
      rate: perSecond(calls.filter(({ version }) => version === name)),
    })),
    rate: perSecond(calls),
    outRate: perSecond(pairs.filter(({ caller }) => caller === id)),
    unhealthy: endpoints.filter(({ healthy }) => !healthy).length,
    instances: endpoints.length,
  };
}

const rateOf = (count: number, windowMs: number): number => (windowMs > 0 ? (count * 1000) / windowMs : 0);

function sum(pairs: readonly TrafficPair[], field: "calls" | "refused" | "failed"): number {
  return pairs.reduce((all, pair) => all + pair[field], 0);
}

export function figuresOf(pairs: readonly TrafficPair[], windowMs: number): Figures {
  const calls = sum(pairs, "calls");
  const refused = sum(pairs, "refused");
  const failed = sum(pairs, "failed");
  return {
    rate: rateOf(calls, windowMs),
    refusedRate: rateOf(refused, windowMs),
    failedRate: rateOf(failed, windowMs),
    success: calls === 0 ? 1 : (calls - refused - failed) / calls,
    p50Ms: middleOf(pairs, calls),
    p99Ms: pairs.reduce((most, { p99Ms }) => Math.max(most, p99Ms), 0),
  };
}

/** Returns the p50 of the kind of call that contains the median call. */
function middleOf(pairs: readonly TrafficPair[], calls: number): number {
  let before = 0;
  for (const pair of [...pairs].sort((a, b) => a.p50Ms - b.p50Ms)) {
    before += pair.calls;
    if (before * 2 >= calls) return pair.p50Ms;
  }
  return 0;
}

export type EdgeState = "refused" | "failing" | "busy" | "idle" | "barred";

/** Returns the state that the picture shows for an edge. */
export function stateOfEdge({ allowed, figures }: MeshEdge): EdgeState {
  if (figures.refusedRate > 0) return "refused";
  if (figures.rate === 0) return allowed ? "idle" : "barred";
  return figures.failedRate > 0 && figures.success < 0.99 ? "failing" : "busy";
}
