/**
 * The first process of a gateway with workers: counts the connections of each address and of each listener over all workers, as
 * it accepts them all. The clients behind hops in front are counted by the workers.
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

  /** How many listeners there are. */
  get size(): number {
    return this.#limiters.length;
  }

  /**
   * Counts a connection of the listener with this place from `remote`; `all`: how many it has at all workers. Returns the
   * address that was counted, which has to be given back, or undefined if none is; or why the connection may not be used.
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
