/** What a check is, and what it is given. */
import type { Duplex } from "node:stream";

import { RawPeer, type RawPeerOptions } from "../support/raw-peer.js";
import type { RawStream } from "../support/raw-stream.js";
import { codeName, data, type Field, headers, message, request } from "../support/wire.js";
import type { Credentials, Mesh, MeshProxy, TlsOptions } from "./mesh.js";
import { connectMutual, connectSocket, handshake, openTls } from "./mesh.js";
import type { Probe } from "./probe.js";
import type { HostileUpstream, RecordingUpstream } from "./upstream.js";

export interface Verdict {
  readonly pass: boolean;
  readonly seen: string;
}

export interface Check {
  /** The number of its row in the table of checks. */
  readonly row: number;
  readonly name: string;
  /** The recording upstream must see nothing. */
  readonly untouched?: boolean;
  /** A metric must count it; default true. */
  readonly counted?: boolean;
  /** The check stops or overloads what the parallel good calls need; default false. */
  readonly disturbing?: boolean;
  /** Skipped by --quick. */
  readonly long?: boolean;
  /** Skipped by --quick where a gateway is attacked. */
  readonly slowAtGateway?: boolean;
  run(arena: Arena): Promise<Verdict>;
}

export const verdict = (pass: boolean, seen: string): Verdict => ({ pass, seen });

/** All of several parts must pass; those that do not are told first. */
export function together(parts: readonly (readonly [name: string, verdict: Verdict])[]): Verdict {
  const failed = parts.filter(([, { pass }]) => !pass);
  const told = failed.length > 0 ? failed : parts;
  const distinct = new Map<string, string[]>();
  for (const [name, { seen }] of told) distinct.set(seen, [...(distinct.get(seen) ?? []), name]);
  const seen = [...distinct].map(([what, names]) => `${names.join(", ")}: ${what}`).join("; ");
  return { pass: failed.length === 0, seen: failed.length > 0 ? `${failed.length} of ${parts.length}: ${seen}` : seen };
}

/** Who is attacked: a proxy by a client with a certificate of the mesh, or a gateway by anybody. */
export type Target = "proxy" | "gateway";

export class Arena {
  readonly target: Target;
  readonly mesh: Mesh;
  readonly quick: boolean;
  readonly upstream: RecordingUpstream;
  readonly hostile: HostileUpstream;
  readonly probe: Probe;
  /** Who is attacked: the proxy beside the recording upstream, or the gateway. */
  readonly attacked: MeshProxy;
  /** Beside the hostile upstream. */
  readonly wild: MeshProxy;
  /** Beside a client that policy allows. */
  readonly front: MeshProxy;
  readonly frontCredentials: Credentials;
  readonly strangerCredentials: Credentials;
  readonly #opened: RawPeer[] = [];

  constructor(parts: {
    readonly target: Target;
    readonly mesh: Mesh;
    readonly quick: boolean;
    readonly upstream: RecordingUpstream;
    readonly hostile: HostileUpstream;
    readonly probe: Probe;
    readonly attacked: MeshProxy;
    readonly wild: MeshProxy;
    readonly front: MeshProxy;
    readonly stranger: MeshProxy;
  }) {
    this.target = parts.target;
    this.mesh = parts.mesh;
    this.quick = parts.quick;
    this.upstream = parts.upstream;
    this.hostile = parts.hostile;
    this.probe = parts.probe;
    this.attacked = parts.attacked;
    this.wild = parts.wild;
    this.front = parts.front;
    this.frontCredentials = parts.front.credentials;
    this.strangerCredentials = parts.stranger.credentials;
  }

  /**
   * A raw client of `proxy`'s inbound port, as the allowed service; the connection is greeted both ways. Where a gateway is
   * attacked, whatever goes to the services goes there, without a certificate.
   */
  async connect(
    options: RawPeerOptions = {},
    proxy = this.attacked,
    credentials = this.frontCredentials,
  ): Promise<RawPeer> {
    if (this.target === "gateway") return this.connectListener(undefined, {}, options);
    const socket = await connectMutual(this.mesh, proxy, credentials);
    return this.#keep(new RawPeer(socket, false, options), options);
  }

  /** A raw client without a certificate of a listener of the gateway, or of the one that is attacked. */
  async connectListener(
    name: string | undefined,
    tls: TlsOptions = {},
    options: RawPeerOptions = {},
  ): Promise<RawPeer> {
    const at = name === undefined ? this.attacked.inbound : this.attacked.listener(name);
    const socket = await handshake(openTls(this.mesh, at, undefined, tls));
    return this.#keep(new RawPeer(socket, false, options), options);
  }

  /** A raw client of the front proxy's outbound socket: the application of that proxy. */
  connectOutbound(options: RawPeerOptions = {}): Promise<RawPeer> {
    return this.#keep(new RawPeer(connectSocket(this.front.outbound), false, options), options);
  }

  /** Opens a connection of a client whose calls go through two hops: by the front proxy's application, or by the gateway. */
  openCaller(): Duplex {
    if (this.target === "gateway") return openTls(this.mesh, this.attacked.inbound, undefined);
    return connectSocket(this.front.outbound);
  }

  /** A raw client of `openCaller`. */
  connectCaller(options: RawPeerOptions = {}): Promise<RawPeer> {
    return this.target === "gateway" ? this.connectListener(undefined, {}, options) : this.connectOutbound(options);
  }

  /** The scheme of calls of `openCaller`. */
  get callerScheme(): "http" | "https" {
    return this.target === "gateway" ? "https" : "http";
  }

  async #keep(peer: RawPeer, { silent }: RawPeerOptions): Promise<RawPeer> {
    this.#opened.push(peer);
    if (!silent) await peer.until(() => peer.peerSettings.size > 0 && peer.settingsAcks > 0, 10_000);
    return peer;
  }

  closeAll(): void {
    for (const peer of this.#opened.splice(0)) peer.close();
  }

  /** What the issue asks of a quiet machine; a quick run may share its machine, and does not judge speed. */
  isInTime(tookMs: number, msMax: number): boolean {
    return this.quick || tookMs <= msMax;
  }

  /** The caller that the application is told of. */
  get callerId(): string {
    return `spiffe://checks/${this.target === "proxy" ? "service/front" : "gateway/public"}`;
  }

  /**
   * How many calls of one hostile client's connection the application may see at once. A gateway may send them on over
   * two connections, if other clients' calls take a part of the first one: the proxy that reads both may then see a call
   * before the cancellation, on the other connection, that made room for it. Each other client's call makes one so at most.
   */
  get openCallsMax(): number {
    return this.target === "proxy" ? 100 : 105;
  }

  /** Bytes that a proxy holds for others by its own account. */
  async heldBytes(proxy: MeshProxy): Promise<number> {
    return (await proxy.metrics()).get("ashlar_buffer_bytes") ?? Number.NaN;
  }

  seconds(full: number, quick: number): number {
    return this.quick ? quick : full;
  }
}

let nextId = 1;

/** Ids of one peer only grow; one sequence for all peers keeps that. */
export function newId(): number {
  nextId += 2;
  return nextId;
}

/** Sends one unary call and waits for its end, or the connection's. */
export async function call(
  peer: RawPeer,
  fields: readonly Field[] | Buffer = request("/checks.Echo/Unary"),
  { body = message("x"), ms = 5000, id = newId() }: { body?: Buffer; ms?: number; id?: number } = {},
): Promise<RawStream> {
  const stream = peer.stream(id);
  peer.send(headers(id, fields), data(id, body, true));
  await finished(peer, stream, ms);
  return stream;
}

export const finished = (peer: RawPeer, stream: RawStream, ms = 5000): Promise<boolean> =>
  peer.until(() => stream.isOver || peer.goaways.some(({ code }) => code !== 0), ms);

/** What a client saw of a call, in the words of the tables. */
export function outcome(peer: RawPeer, stream: RawStream): string {
  const status = stream.value("grpc-status");
  if (status !== undefined) return `grpc-status ${status}`;
  const http = stream.value(":status");
  if (http !== undefined && http !== "200" && stream.ended) return `HTTP ${http}`;
  if (stream.resetCode !== undefined) return `RST_STREAM(${codeName(stream.resetCode)})`;
  return connectionOutcome(peer);
}

export function connectionOutcome(peer: RawPeer): string {
  if (peer.fatal !== undefined) return `GOAWAY(${codeName(peer.fatal)})`;
  if (peer.goaways.length > 0) return "GOAWAY(NO_ERROR)";
  if (peer.closed) return peer.error === "" ? "closed" : `closed (${peer.error})`;
  return "nothing";
}

/** Passes if what was seen is one of `wanted`. */
export const oneOf = (seen: string, ...wanted: readonly string[]): Verdict => verdict(wanted.includes(seen), seen);
