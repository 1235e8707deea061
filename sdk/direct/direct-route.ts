/** Where direct reads of one service go: a connection to each of its proxies that the agent tells of. */
import { type Channel, type ChannelCredentials, type ClientOptions, connectivityState } from "@grpc/grpc-js";
import type { FollowDirectResponse } from "../../proto/gen/ashlar/v1/agent.js";
import { parseSvid } from "../../runtime/tls-identity.js";
import type { DirectIdentity } from "./direct-identity.js";

type CurrentCredentials = Pick<DirectIdentity, "current" | "problem" | "onChange" | "isGood">;

/** How reads of a service go now. */
export type DirectStatus =
  | { readonly kind: "direct"; readonly endpoints: number }
  /** Through the local proxy. */
  | { readonly kind: "proxied"; readonly reason: string };

/** The part of grpc-js that is the application's own. */
export interface DirectGrpc {
  readonly credentials: {
    createSsl(
      roots: Buffer,
      key: Buffer,
      chain: Buffer,
      verify: { checkServerIdentity(host: string, certificate: { readonly raw: Uint8Array }): Error | undefined },
    ): ChannelCredentials;
  };
  readonly Channel: new (target: string, channel: ChannelCredentials, options: ClientOptions) => Channel;
}

interface Place {
  readonly channel: Channel;
  /** Which certificate and roots it was made with. */
  readonly madeWith: string;
  /** When that certificate ends: one that could not be replaced is used no longer. */
  readonly notAfterMs: number;
}

/** A connection that another one replaced stays open so long for calls that have just begun on it. */
const retireMs = 10_000;

export class DirectRoute {
  readonly #grpc: DirectGrpc;
  readonly #service: string;
  readonly #identity: CurrentCredentials;
  readonly #onStatus: (status: DirectStatus) => void;
  readonly #places = new Map<string, Place>();
  /** Connections with a newer certificate that are not made yet. */
  readonly #next = new Map<string, Place>();
  /** Replaced connections that close soon. */
  readonly #retiring = new Set<Channel>();
  #where: FollowDirectResponse | undefined;
  #whyNot = "the proxy has not answered yet";
  #turn = 0;
  #said = "";
  #closed = false;

  constructor(
    grpc: DirectGrpc,
    service: string,
    identity: CurrentCredentials,
    onStatus: (status: DirectStatus) => void = () => {},
  ) {
    this.#grpc = grpc;
    this.#service = service;
    this.#identity = identity;
    this.#onStatus = onStatus;
    identity.onChange(() => this.#sync());
  }

  /** Whether a certificate is of use. */
  get isOpen(): boolean {
    return !this.#closed && this.#where !== undefined;
  }

  /** What the agent says. */
  hear(where: FollowDirectResponse): void {
    this.#where = where.whyNot === "" ? where : undefined;
    this.#whyNot = where.whyNot;
    this.#sync();
  }

  /** The agent says that it cannot tell. */
  refused(reason: string): void {
    this.#where = undefined;
    this.#whyNot = reason;
    this.#sync();
  }

  close(): void {
    this.#closed = true;
    this.#where = undefined;
    this.#sync();
    for (const channel of this.#retiring) this.#end(channel);
  }

  /** Returns the connection for a call of this method; undefined: it goes through the local proxy. */
  pick(method: string): Channel | undefined {
    if (this.#where === undefined || !isRead(this.#where, method) || this.#identity.current === undefined)
      return undefined;
    const ready = this.#ready();
    this.#turn = (this.#turn + 1) % Math.max(1, ready.length);
    return ready[this.#turn];
  }

  #ready(): Channel[] {
    const found: Channel[] = [];
    for (const { channel, notAfterMs } of this.#places.values())
      if (this.#identity.isGood(notAfterMs) && channel.getConnectivityState(true) === connectivityState.READY)
        found.push(channel);
    return found;
  }

  #sync(): void {
    const credentials = this.#identity.current;
    const where = credentials === undefined ? undefined : this.#where;
    const madeWith = `${credentials?.notAfterMs} ${credentials?.chainPem.length} ${where?.roots.join()}${credentials?.chainPem}`;
    const wanted = new Set(where?.endpoints.map(({ address }) => address));
    for (const places of [this.#places, this.#next])
      for (const [address, place] of places) if (!wanted.has(address)) this.#retire(places, address, place);
    for (const address of wanted) {
      const place = this.#places.get(address);
      if (place?.madeWith === madeWith || this.#next.get(address)?.madeWith === madeWith) continue;
      const made = { channel: this.#connect(address), madeWith, notAfterMs: credentials?.notAfterMs ?? 0 };
      const before = this.#next.get(address);
      if (before !== undefined) this.#retire(this.#next, address, before);
      if (place === undefined) this.#places.set(address, made);
      else this.#next.set(address, made);
      this.#watch(address, made);
    }
    this.#say();
  }

  #retire(places: Map<string, Place>, address: string, place: Place): void {
    if (places.get(address) === place) places.delete(address);
    // open calls go on; nothing begins any more once the application has left, and nothing keeps its process
    if (this.#closed) place.channel.close();
    else this.#retiring.add(place.channel);
    setTimeout(() => this.#end(place.channel), retireMs).unref();
  }

  #end(channel: Channel): void {
    if (this.#retiring.delete(channel)) channel.close();
  }

  #connect(address: string): Channel {
    const { privateKeyPem = "", chainPem = "" } = this.#identity.current ?? {};
    const { roots = [], spiffeId = "" } = this.#where ?? {};
    const [ca, key, chain] = [roots.join("\n"), privateKeyPem, chainPem].map((pem) => Buffer.from(pem));
    const channel = this.#grpc.credentials.createSsl(ca as Buffer, key as Buffer, chain as Buffer, {
      checkServerIdentity: (_host, { raw }) => faultOf(raw, spiffeId),
    });
    return new this.#grpc.Channel(address, channel, {
      "grpc.default_authority": this.#service,
      "grpc.ssl_target_name_override": this.#service, // no certificate is judged by it: an address is no name in TLS
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 5000,
      "grpc.service_config_disable_resolution": 1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0, // a proxy of the environment is for calls that leave it
    });
  }

  /** Follows a connection until it is replaced. */
  #watch(address: string, place: Place): void {
    const look = (): void => {
      const isCurrent = this.#places.get(address) === place;
      if (!isCurrent && this.#next.get(address) !== place) return;
      const state = place.channel.getConnectivityState(true);
      if (state === connectivityState.READY && !isCurrent) {
        const before = this.#places.get(address);
        this.#next.delete(address);
        this.#places.set(address, place);
        if (before !== undefined) this.#retire(new Map(), address, before);
      }
      this.#say();
      if (state !== connectivityState.SHUTDOWN)
        place.channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => look());
    };
    look();
  }

  #say(): void {
    if (this.#closed) return;
    const endpoints = this.#ready().length;
    const status: DirectStatus =
      endpoints > 0 ? { kind: "direct", endpoints } : { kind: "proxied", reason: this.#reason() };
    const text = JSON.stringify(status);
    if (text === this.#said) return;
    this.#said = text;
    this.#onStatus(status);
  }

  #reason(): string {
    if (this.#where === undefined) return this.#whyNot;
    if (this.#identity.current === undefined) return this.#identity.problem;
    return `no proxy of ${this.#service} is reached directly`;
  }
}

function isRead({ freeMethods, writes }: FollowDirectResponse, method: string): boolean {
  const service = method.slice(0, method.lastIndexOf("/"));
  const isIn = (patterns: readonly string[]): boolean =>
    patterns.some((one) => one === method || one === "*" || one === `${service}/*`);
  return isIn(freeMethods) && !isIn(writes) && !method.startsWith("ashlar.v1.");
}

/** Whoever is connected has to be a proxy of the service, by its SPIFFE ID. */
function faultOf(der: Uint8Array, expected: string): Error | undefined {
  try {
    const { spiffeId } = parseSvid(new Uint8Array(der));
    return spiffeId === expected ? undefined : new Error(`it is ${spiffeId}, not ${expected}`);
  } catch (error) {
    return error as Error;
  }
}
