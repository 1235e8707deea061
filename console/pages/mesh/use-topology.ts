/** Loads the data of the picture live: policy, services, and the traffic of the last seconds. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { orNotFound } from "../../api/call-error.js";
import { call } from "../../api/client.js";
import { follow } from "../../api/events.js";
import type { WatchedTraffic } from "../../api/traffic-messages.js";
import type { Loaded } from "../../state/loaded.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { noPolicy, type Policy, parsePolicy } from "./policy.js";
import { buildTopology, keepEdges, type MeshEdge, type Topology } from "./topology.js";

export interface LiveTopology {
  readonly loaded: Loaded<Topology>;
  readonly again: () => void;
  readonly policy: Policy;
  readonly traffic: WatchedTraffic | undefined;
  /** Why no traffic is shown. Empty: traffic is shown or will come soon. */
  readonly trafficProblem: string;
}

/** The policy of one revision. A revision never changes, so it is loaded once. */
interface ReadPolicy {
  /** The revision's number. 0: nothing was ever activated. */
  readonly revision: number;
  readonly policy: Policy;
}

/** Loads the active policy, or an empty one if nothing was activated yet. */
async function readPolicy(signal: AbortSignal): Promise<ReadPolicy> {
  const { revision, json } = await orNotFound(call("GetRevision", { asJson: true }, signal), {
    revision: undefined,
    json: "",
  });
  return { revision: revision?.number ?? 0, policy: parsePolicy(json) };
}

export function useTopology(): LiveTopology {
  const { status } = useMesh();
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
            setTraffic(undefined); // the former figures are not live any more
            setTrafficProblem(problem ?? "The control plane ended the stream of traffic.");
          },
        },
      ),
    [],
  );
  const inForce = status.value?.revision;
  const read = useRef<ReadPolicy>(undefined);
  const load = async (signal: AbortSignal) => {
    const isRead = read.current !== undefined && read.current.revision === inForce;
    const [{ services }, policy] = await Promise.all([
      call("ListServices", {}, signal),
      isRead ? read.current : readPolicy(signal),
    ]);
    read.current = policy;
    return { services, policy: policy?.policy ?? noPolicy };
  };
  const [known, again] = useLoaded("mesh", load, { everyMs: 5000 });
  useEffect(() => {
    if (read.current !== undefined && read.current.revision !== inForce) again();
  }, [inForce, again]);
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
