/** The ports of the mesh that one process knows: those of all its services, of NATS and of control planes. */
import { parseHostPort, type SocketAddress } from "../../runtime/config.js";
import type { ProxyConfig } from "../config.js";
import type { MeshPort } from "./inside.js";

interface Place {
  readonly what: string;
  readonly address: SocketAddress | undefined;
}

export class MeshPorts {
  readonly #stated = new Map<ProxyConfig, Map<string, MeshPort>>();
  /** All ports. The array stays the same object for the life of the process, so its holders see later changes. */
  readonly all: readonly MeshPort[];
  readonly #all: MeshPort[];
  readonly #listeners = new Set<() => void>();

  constructor() {
    this.#all = [];
    this.all = this.#all;
  }

  /** Calls `listener` when `all` has changed. Returns a function that removes the listener. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Adds the ports in a proxy's settings, and `more`, such as those that the system assigned. */
  add(config: ProxyConfig, more: readonly Place[] = []): void {
    const known = this.#stated.get(config) ?? new Map<string, MeshPort>();
    for (const { what, address } of [...placesOf(config), ...more])
      if (address !== undefined && "host" in address && address.port !== 0)
        known.set(`${what} ${address.host} ${address.port}`, { what, ...address });
    this.#stated.set(config, known);
    this.#gather();
  }

  /** Removes the ports of a proxy that has stopped. */
  forget(config: ProxyConfig): void {
    this.#stated.delete(config);
    this.#gather();
  }

  #gather(): void {
    this.#all.splice(0, this.#all.length, ...[...this.#stated.values()].flatMap((known) => [...known.values()]));
    for (const listener of this.#listeners) listener();
  }
}

function placesOf({
  service,
  inbound,
  advertise,
  outbound,
  upstreams,
  status,
  edge,
  app,
}: ProxyConfig): readonly Place[] {
  const own = Object.entries({ inbound, advertise, outbound, status, application: app });
  return [
    ...own.map(([what, address]) => ({ what: `${what} of ${service}`, address })),
    ...upstreams.map((one) => ({ what: `upstream ${one.service} of ${service}`, address: one.address })),
    ...(edge?.listeners ?? []).map(({ name, address }) => ({ what: `listener ${name}`, address })),
  ];
}

/** Returns the addresses of NATS and the control planes that a proxy was given. */
export function placesOfMesh(natsServers: readonly string[], controlPlanes: readonly string[]): readonly Place[] {
  return [
    ...natsServers.map((url) => ({ what: "NATS", address: parseHostPort(url.replace(/^\w+:\/\//, "")) })),
    ...controlPlanes.map((address) => ({ what: "a control plane", address: parseHostPort(address) })),
  ];
}
