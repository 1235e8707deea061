/**
 * Admission in the first process of a gateway with workers, which accepts all connections: counts those of each address
 * and of each listener over all workers. Clients behind forwarding hops are counted by the workers.
 */

import { compileGateway } from "../../core/policy/compiled-gateway.js";
import type { Clock } from "../../runtime/clock.js";
import { Networks } from "../../runtime/networks.js";
import type { EvaluatedPolicy, PolicyView } from "../ports.js";
import { plainAddress } from "../proxy/call-inputs.js";
import type { EdgeConfig } from "./edge-config.js";
import { EdgeLimiter, type TurnedAway } from "./edge-limits.js";

export class EdgeAdmission {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #limiters: readonly (readonly [listener: string, limiter: EdgeLimiter])[];
  readonly #hops: Networks;

  /** `service`: the name by which the mesh knows the gateway. */
  constructor(
    policy: Pick<PolicyView, "current" | "onSwitch">,
    { edge, service }: { readonly edge: EdgeConfig; readonly service: string },
    clock: Pick<Clock, "monotonicMs">,
  ) {
    this.#clock = clock;
    this.#limiters = edge.listeners.map(({ name }) => [name, new EdgeLimiter()] as const);
    const { proxyProtocolFrom, forwardedFrom } = edge.hops;
    this.#hops = new Networks([...proxyProtocolFrom, ...forwardedFrom]);
    const follow = (next: EvaluatedPolicy): void => {
      const gateway = next.unit(service)?.gateway;
      const stated = gateway && compileGateway(gateway);
      for (const [name, limiter] of this.#limiters) limiter.follow(stated?.get(name)?.listener.limits);
    };
    policy.onSwitch(follow);
    if (policy.current !== undefined) follow(policy.current);
  }

  /** The number of listeners. */
  get size(): number {
    return this.#limiters.length;
  }

  /**
   * Counts a connection of the listener with this index from `remote`; `all`: the number of its connections in all
   * workers. Returns the counted address, which must be given back later, or undefined if none was counted; or why the
   * connection may not be used.
   */
  opens(index: number, remote: string | undefined, all: number): { readonly address?: string } | TurnedAway {
    const address = plainAddress(remote);
    if (address === undefined) return "address";
    const counted = this.#hops.has(address) ? {} : { address };
    return this.#limiters[index]?.[1].opens(counted.address, this.#clock.monotonicMs(), all) ?? counted;
  }

  closed(index: number, address: string): void {
    this.#limiters[index]?.[1].closed(address);
  }
}
