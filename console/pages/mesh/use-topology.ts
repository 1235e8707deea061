/** What the picture is made of, live: policy, services, and the traffic of the last seconds. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { orNotFound } from "../../api/call-error.js";
import { call } from "../../api/client.js";
import { follow } from "../../api/events.js";
import type { WatchedTraffic } from "../../api/traffic-messages.js";
import type { Loaded } from "../../state/loaded.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { noPolicy, type Policy, policyReader } from "./policy.js";
import { buildTopology, keepEdges, type MeshEdge, type Topology } from "./topology.js";

export interface LiveTopology {
  readonly loaded: Loaded<Topology>;
  readonly again: () => void;
  readonly policy: Policy;
  readonly traffic: WatchedTraffic | undefined;
  /** Why there is no traffic to see; empty: there is, or it is about to come. */
  readonly trafficProblem: string;
}

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
          onEnd: (problem) => {
            setTraffic(undefined); // figures of before are not live any more
            setTrafficProblem(problem ?? "The control plane ended the stream of traffic.");
          },
        },
      ),
    [],
  );
  const [read] = useState(policyReader);
  const load = async (signal: AbortSignal) => {
    const [{ services }, { yaml }] = await Promise.all([
      call("ListServices", {}, signal),
      // Before anything was activated there is no policy to show.
      orNotFound(call("GetRevision", {}, signal), { yaml: "" }),
    ]);
    return { services, policy: read(yaml) };
  };
  const [known, again] = useLoaded("mesh", load, { everyMs: 5000, when: [turn] });
  const [kept] = useState(() => new Map<string, MeshEdge>());
  const topology = useMemo(() => {
    if (known.value === undefined) return undefined;
    const { policy, services } = known.value;
    const built = buildTopology(policy, services, traffic ?? { windowMs: 0, pairs: [] });
    return keepEdges(built, kept, policy);
  }, [known.value, traffic, kept]);
  return {
    loaded: { ...known, value: topology },
    again,
    policy: known.value?.policy ?? noPolicy,
    traffic,
    trafficProblem,
  };
}
