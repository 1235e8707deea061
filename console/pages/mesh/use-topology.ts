/** What the picture is made of, live: policy, services, and the traffic of the last seconds. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { call } from "../../api/client.js";
import { follow } from "../../api/events.js";
import type { WatchedTraffic } from "../../api/traffic-messages.js";
import type { Loaded } from "../../state/loaded.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { noPolicy, type Policy, parsePolicy } from "./policy.js";
import { buildTopology, type MeshEdge, type Topology } from "./topology.js";

export interface LiveTopology {
  readonly loaded: Loaded<Topology>;
  readonly again: () => void;
  readonly policy: Policy;
  readonly traffic: WatchedTraffic | undefined;
  /** Why there is no traffic to see; empty: there is, or it is about to come. */
  readonly trafficProblem: string;
}

/** Edges that were seen stay, at rest, so that the picture does not jump when calls pause; at most so many. */
const keptMax = 2000;

export function useTopology(): LiveTopology {
  const { turn } = useMesh();
  const [traffic, setTraffic] = useState<WatchedTraffic>();
  const [trafficProblem, setTrafficProblem] = useState("");
  useEffect(
    () =>
      follow(
        "WatchTraffic",
        {},
        {
          onEvent: setTraffic,
          onEnd: (problem) => setTrafficProblem(problem ?? "The control plane ended the stream of traffic."),
        },
      ),
    [],
  );
  const load = async (signal: AbortSignal) => {
    const [{ services }, yaml] = await Promise.all([
      call("ListServices", {}, signal),
      // Before anything was activated there is no policy to show.
      call("GetRevision", {}, signal).then(
        (answer) => answer.yaml,
        () => "",
      ),
    ]);
    return { services, policy: yaml === "" ? noPolicy : parsePolicy(yaml) };
  };
  const [known, again] = useLoaded("mesh", load, { everyMs: 5000, when: [turn] });
  const [kept] = useState(() => new Map<string, MeshEdge>());
  const topology = useMemo(() => {
    if (known.value === undefined) return undefined;
    const { policy, services } = known.value;
    const built = buildTopology(policy, services, traffic ?? { windowMs: 0, pairs: [] });
    return keepEdges(built, kept);
  }, [known.value, traffic, kept]);
  return {
    loaded: { ...known, value: topology },
    again,
    policy: known.value?.policy ?? noPolicy,
    traffic,
    trafficProblem,
  };
}

const rest = { rate: 0, refusedRate: 0, failedRate: 0, success: 1, p50Ms: 0, p99Ms: 0 } as const;

function keepEdges(topology: Topology, kept: Map<string, MeshEdge>): Topology {
  const there = new Set(topology.edges.map(({ id }) => id));
  const nodes = new Set(topology.nodes.map(({ id }) => id));
  for (const edge of topology.edges) if (kept.size < keptMax) kept.set(edge.id, edge);
  const gone = [...kept.values()].filter((edge) => !there.has(edge.id) && nodes.has(edge.from) && nodes.has(edge.to));
  if (gone.length === 0) return topology;
  return { ...topology, edges: [...topology.edges, ...gone.map((edge) => ({ ...edge, figures: rest, calls: [] }))] };
}
