/**
 * Hops in front of a gateway that may state whom they forward: balancers by PROXY protocol, others by x-forwarded-for.
 */
import type { Socket } from "node:net";
import { isForwardedHeader } from "../../core/wire/headers.js";
import { Networks } from "../../runtime/networks.js";
import type { FieldBlock } from "../http2/field-block.js";
import { plainAddress } from "../proxy/call-inputs.js";
import { joinHeader } from "../proxy/request-head.js";
import type { EdgeLimiter, TurnedAway } from "./edge-limits.js";
import { forwardedFor } from "./forwarded.js";
import { ProxiedSources } from "./proxied-sources.js";

/** Networks in CIDR notation. Plain data. */
export interface HopsConfig {
  /** The networks of balancers that speak PROXY protocol, version 2. */
  readonly proxyProtocolFrom: readonly string[];
  /** The networks of hops whose x-forwarded-for is trusted. */
  readonly forwardedFrom: readonly string[];
  /** The networks of balancers that may ask with grpc.health.v1 whether a listener serves. */
  readonly healthFrom: readonly string[];
}

const healthMethod = "grpc.health.v1.Health/Check";

const forwardedName = "x-forwarded-for";

export class EdgeHops {
  /** See `Door`. */
  readonly front: ProxiedSources["front"] | undefined;
  readonly #sources: ProxiedSources | undefined;
  readonly #hops: Networks | undefined;
  readonly #asking: Networks | undefined;

  /** Fails with a `RangeError` on a text that is no network. */
  constructor({ proxyProtocolFrom, forwardedFrom, healthFrom }: HopsConfig) {
    this.#sources = proxyProtocolFrom.length === 0 ? undefined : new ProxiedSources(new Networks(proxyProtocolFrom));
    this.#hops = forwardedFrom.length === 0 ? undefined : new Networks(forwardedFrom);
    this.#asking = healthFrom.length === 0 ? undefined : new Networks(healthFrom);
    this.front = this.#sources?.front;
  }

  /** Returns the address of the client at the other end of a connection, as its balancer states it. */
  sourceOf(socket: Socket): string | undefined {
    return this.#sources?.sourceOf(socket) ?? plainAddress(socket.remoteAddress);
  }

  /** Returns whether a call is a health check from somebody who may ask; for others the method does not exist. */
  asksForHealth(address: string | undefined, method: string): boolean {
    return method === healthMethod && address !== undefined && this.#asking?.has(address) === true;
  }

  /**
   * Counts a connection. Returns undefined, or why it may not be used. A listed hop opens connections for all of its
   * clients, who are counted by their calls.
   */
  letIn(limiter: EdgeLimiter, socket: Socket, nowMs: number): TurnedAway | undefined {
    const address = this.sourceOf(socket);
    if (address === undefined) return "address";
    const counted = this.#hops?.has(address) === true ? undefined : address;
    const away = limiter.opens(counted, nowMs);
    if (away === undefined) socket.once("close", () => limiter.closed(counted));
    return away;
  }

  /**
   * Replaces what a request from `seen` says about its client by what is known. Returns the address that limits count.
   */
  forward(fields: FieldBlock, seen: string): string {
    const { client, header } = forwardedFor(seen, joinHeader(fields, forwardedName), this.#hops);
    for (let field = 0; field < fields.count; field++)
      if (!fields.isDropped(field) && fields.nameId(field) === 0 && isForwardedHeader(fields.nameText(field)))
        fields.drop(field);
    fields.add(forwardedName, header);
    return client;
  }
}
