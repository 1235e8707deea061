/**
 * External destinations for calls: how the calls of each Egress in policy leave the mesh, and its addresses in place of
 * proxies' endpoints. The trust log states the addresses. A name that is a service in policy never leaves the mesh,
 * whatever the trust log states.
 */
import { Resolver } from "node:dns/promises";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { TrustedEgress } from "../../core/egress/trusted-egress.js";
import { AshlarError } from "../../core/errors.js";
import { gatewayWorkload } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { AfterTime } from "../../runtime/lost-time.js";
import { Networks } from "../../runtime/networks.js";
import type { CallPolicy, FollowedEndpoints, OutsideView, OutsideWay, TrustView } from "../ports.js";
import { dialOutside, type EgressKey, hostOf, portOf, serverNameOf } from "./dial-outside.js";
import { HostAddresses } from "./host-addresses.js";
import { type MeshPort, whyInside } from "./inside.js";
import type { DnsResolver } from "./resolve-host.js";

/** Plain data, since a worker process receives it in a message. */
export interface EgressOptions {
  readonly keys: readonly EgressKey[];
  /** The DNS servers, "HOST:PORT" each; empty: those of the system. */
  readonly dns: readonly string[];
  /** The ports of the mesh, to which no egress may lead. */
  readonly own: readonly MeshPort[];
  /** The name of the gateway that this process runs; left out: it is a proxy beside a service. */
  readonly gateway?: string;
}

export interface EgressesDeps {
  readonly policy: Pick<CallPolicy, "current">;
  readonly trust: Pick<TrustView, "egresses" | "onChange">;
  readonly endpoints: FollowedEndpoints;
  readonly clock: Clock;
  readonly log: Logger;
  /** The resolver; left out: one for the DNS servers of the options. */
  readonly resolver?: DnsResolver;
}

interface Known {
  readonly egress: TrustedEgress;
  readonly allowed: Networks;
  /** The addresses of its host; undefined: its calls leave through a gateway. */
  readonly host: HostAddresses | undefined;
  readonly way: OutsideWay;
  /** What its endpoints were made from: addresses, or the endpoints of the gateway. */
  madeOf: readonly (string | Endpoint)[];
  made: ReadonlyMap<unknown, Endpoint>;
  endpoints: readonly Endpoint[];
  /** Whether its endpoints were read for the first time. */
  isReady: boolean;
}

const none: readonly Endpoint[] = [];
const dnsPatience = { timeout: 2000, tries: 2 } as const;

export class Egresses implements FollowedEndpoints, OutsideView {
  readonly #deps: EgressesDeps;
  readonly #options: EgressOptions;
  readonly #resolver: DnsResolver;
  readonly #listeners = new Set<(service: string) => void>();
  readonly #stops: (() => void)[];
  readonly #sockets = new WeakMap<Socket, TrustedEgress>();
  readonly #ways = new WeakMap<Endpoint, Known>();
  #from: readonly TrustedEgress[] = [];
  #known = new Map<string, Known>();

  constructor(deps: EgressesDeps, options: EgressOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#resolver = deps.resolver ?? openResolver(options.dns);
    this.#stops = [
      deps.trust.onChange(() => this.#follow()),
      deps.endpoints.onChange((service) => {
        this.#tell(service);
        for (const [name, { egress }] of this.#known)
          if (egress.through !== "" && gatewayWorkload(egress.through) === service) this.#tell(name);
      }),
    ];
    this.#follow();
  }

  /** Stops asking DNS. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
    for (const { host } of this.#known.values()) host?.close();
  }

  /** The ports of the mesh (`EgressOptions.own`) have changed. */
  portsChanged(): void {
    for (const { host } of this.#known.values()) host?.judgeAgain();
  }

  // === OutsideView ===

  find(name: string): OutsideWay | undefined {
    return this.#known.get(name)?.way;
  }

  isPending(name: string): boolean {
    return this.#known.get(name)?.isReady === false;
  }

  gatewayOf(endpoint: Endpoint): string | undefined {
    const known = this.#ways.get(endpoint);
    return known === undefined || known.host !== undefined ? undefined : gatewayWorkload(known.egress.through);
  }

  isOutside(endpoint: Endpoint): boolean {
    return this.#ways.get(endpoint)?.host !== undefined;
  }

  dial(endpoint: Endpoint, after: AfterTime): Promise<Socket> | undefined {
    const known = this.#ways.get(endpoint);
    return known?.host === undefined ? undefined : this.#dial(known, endpoint, after);
  }

  isTrusted(socket: Socket): boolean | undefined {
    const egress = this.#sockets.get(socket);
    return egress && this.#known.get(egress.name)?.egress === egress && !isExpired(socket, this.#deps.clock.nowMs());
  }

  whyNone(name: string): string {
    const known = this.#known.get(name);
    if (known === undefined) return `${name} has no address: \`ashlar egress set ${name}\` says where it is`;
    if (known.host !== undefined && known.host.problem !== "") return `${name} is not reached: ${known.host.problem}`;
    return known.host === undefined
      ? `no gateway ${known.egress.through} is there, through which ${name} is called`
      : "";
  }

  // === FollowedEndpoints ===

  endpoints(service: string): readonly Endpoint[] {
    if (this.#deps.policy.current?.unit(service)?.isOutside !== true) return this.#deps.endpoints.endpoints(service);
    const known = this.#known.get(service);
    return known === undefined ? none : this.#endpointsOf(known);
  }

  async ready(service: string): Promise<void> {
    if (this.#deps.policy.current?.unit(service)?.isOutside !== true) return this.#deps.endpoints.ready(service);
    const known = this.#known.get(service);
    if (known === undefined) return;
    await (known.host?.ready() ?? this.#deps.endpoints.ready(gatewayWorkload(known.egress.through)));
    known.isReady = true;
  }

  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(service: string): void {
    for (const listener of this.#listeners) listener(service);
  }

  /** Returns the endpoints, which stay the same objects as long as their sources are unchanged. */
  #endpointsOf(known: Known): readonly Endpoint[] {
    const { egress, host } = known;
    const from: readonly (string | Endpoint)[] =
      host?.addresses ?? this.#deps.endpoints.endpoints(gatewayWorkload(egress.through));
    if (from === known.madeOf) return known.endpoints;
    const made = new Map<unknown, Endpoint>();
    for (const one of from) made.set(one, known.made.get(one) ?? this.#endpointFor(known, one));
    known.made = made;
    known.endpoints = [...made.values()];
    known.madeOf = from;
    return known.endpoints;
  }

  #endpointFor(known: Known, of: string | Endpoint): Endpoint {
    const endpoint = typeof of === "string" ? endpointAt(known.egress, of) : { ...of, service: known.egress.name };
    this.#ways.set(endpoint, known);
    return endpoint;
  }

  #follow(): void {
    const { egresses } = this.#deps.trust;
    if (egresses === this.#from) return;
    this.#from = egresses;
    const before = this.#known;
    this.#known = new Map(egresses.map((egress) => [egress.name, this.#open(egress, before.get(egress.name))]));
    for (const [name, known] of before) {
      if (this.#known.get(name) === known) continue;
      known.host?.close();
      this.#tell(name);
    }
    for (const name of this.#known.keys()) if (!before.has(name)) this.#tell(name);
  }

  /** Opens an egress. One that is unchanged keeps its addresses. */
  #open(egress: TrustedEgress, before: Known | undefined): Known {
    if (before !== undefined && JSON.stringify(before.egress) === JSON.stringify(egress)) return before;
    const { through: gateway } = egress;
    const isDirect = gateway === "" || gateway === this.#options.gateway;
    const way = { isDirect, gateway, authority: authorityOf(egress) };
    const allowed = networksOf(egress, this.#deps.log);
    const host = way.isDirect ? this.#openHost(egress, allowed) : undefined;
    return { egress, allowed, host, way, madeOf: none, made: new Map(), endpoints: none, isReady: false };
  }

  #openHost(egress: TrustedEgress, allowed: Networks): HostAddresses {
    const { clock, log } = this.#deps;
    const port = portOf(egress.address);
    const onChange = (): void => this.#tell(egress.name);
    const whyNot = (address: string) => whyInside(address, port, allowed, this.#options.own);
    return new HostAddresses(
      { resolver: this.#resolver, clock, log, onChange, whyNot },
      egress.name,
      hostOf(egress.address),
    );
  }

  /** Dials an address, which is checked again: the mesh's ports may have changed since DNS answered. */
  async #dial({ egress, allowed }: Known, { instance }: Endpoint, after: AfterTime): Promise<Socket> {
    const why = whyInside(instance, portOf(egress.address), allowed, this.#options.own);
    if (why !== undefined) throw new AshlarError("unavailable", `${instance} ${why}`);
    const socket = await dialOutside(egress, instance, this.#options.keys, after);
    this.#sockets.set(socket, egress);
    return socket;
  }
}

function openResolver(dns: readonly string[]): Resolver {
  const resolver = new Resolver(dnsPatience);
  if (dns.length > 0) resolver.setServers(dns);
  return resolver;
}

/** Parses networks. A control plane checks them before it signs them; a malformed one allows nothing. */
function networksOf({ name, allowAddresses }: TrustedEgress, log: Logger): Networks {
  try {
    return new Networks(allowAddresses);
  } catch (error) {
    log.error("the allowed networks of an egress are not networks: none is allowed", { egress: name, error });
    return new Networks([]);
  }
}

/**
 * Returns the endpoint of an address. `instance` is the checked address that is dialled, so no name is resolved again.
 */
function endpointAt({ name, address }: TrustedEgress, ip: string): Endpoint {
  return {
    ...{ proxyId: ip, service: name, instance: ip, version: "", labels: [], gone: false, timeMs: 0 },
    address: `${ip.includes(":") ? `[${ip}]` : ip}:${portOf(address)}`,
  };
}

/** Returns the `:authority` of calls there: the host, with its port unless that is the port of https. */
function authorityOf(egress: TrustedEgress): string {
  const name = serverNameOf(egress);
  const host = name.includes(":") ? `[${name}]` : name;
  return portOf(egress.address) === 443 ? host : `${host}:${portOf(egress.address)}`;
}

/** Returns whether the certificate of an open connection has expired. */
function isExpired(socket: Socket, nowMs: number): boolean {
  if (!(socket instanceof TLSSocket) || socket.destroyed) return true;
  const { valid_to: until } = socket.getPeerCertificate();
  return until !== undefined && Date.parse(until) < nowMs;
}
