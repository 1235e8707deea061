/** The two listeners: admin (requires a client certificate) and join (server TLS only). */
import type { TlsOptions } from "node:tls";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import { nameIn } from "../core/identity.js";
import type { Revocation } from "../core/model.js";
import type { Clock } from "../runtime/clock.js";
import type { GateLimits } from "../runtime/connection-gate.js";
import { descriptorsLeft } from "../runtime/descriptors.js";
import type { BoundService } from "../runtime/grpc-handlers.js";
import { type GrpcServer, startGrpcServer, verifyLeaf } from "../runtime/grpc-server.js";
import { ListenerTls } from "../runtime/listener-tls.js";
import type { Logger } from "../runtime/log.js";
import { checkRevocation, type Svid } from "../runtime/tls-identity.js";
import { adminMessageBytesMax } from "./admin/admin-service.js";
import type { ListenConfig } from "./config.js";
import type { IssuedIdentity } from "./identity/authority.js";
import { joinMessageBytesMax } from "./identity/join-service.js";
import { renderHost } from "./listen-address.js";

/** The TLS of a server whose certificate can be replaced while it listens; open connections keep the old one. */
export class RenewableCredentials {
  readonly #caPem: string;
  readonly #requireClient: boolean;
  readonly tls: ListenerTls;

  /** With `requireClient`, only clients with a certificate of this CA complete the handshake. */
  constructor(caPem: string, identity: IssuedIdentity, requireClient: boolean) {
    this.#caPem = caPem;
    this.#requireClient = requireClient;
    this.tls = new ListenerTls(this.#options(identity));
  }

  renew(identity: IssuedIdentity): void {
    this.tls.renew(this.#options(identity));
  }

  #options({ chainPem, privateKeyPem }: IssuedIdentity): TlsOptions {
    const asked = { requestCert: this.#requireClient, rejectUnauthorized: this.#requireClient };
    return { ca: this.#caPem, cert: chainPem, key: privateKeyPem, minVersion: "TLSv1.2", ...asked };
  }
}

/**
 * Judges a client of the admin listener by its certificate's DER: it must be of this mesh, valid now and not revoked.
 * The handshake has verified it against the mesh's root; the issuing CA may be that of any control plane.
 */
export function createOperatorJudge(
  mesh: string,
  revocations: () => readonly Revocation[],
): (certificate: Uint8Array, nowMs: number) => Svid {
  return (certificate, nowMs) => {
    const svid = verifyLeaf(certificate, nowMs);
    if (svid.trustDomain !== mesh)
      throw new AshlarError("invalid_identity", `certificate: of mesh ${svid.trustDomain}`);
    return checkRevocation(svid, { isRevoked: (serial) => revocations().some((one) => one.serial === serial) });
  };
}

export interface ListenerDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Divides the descriptors of this process among the listeners: two fifths for those who join or renew, and a fifth each
 * for operators, for peers of the admin listener without an operator's certificate, and for the console, where sessions
 * get half of it. So none of them can take what an operator needs.
 */
export function gateLimits(
  descriptors = descriptorsLeft(),
): Readonly<Record<"admin" | "join" | "console", GateLimits>> {
  const share = (part: number, most: number): number => Math.max(8, Math.min(most, Math.floor(descriptors * part)));
  const join = share(0.4, 512);
  const strangers = share(0.2, 64);
  const operators = share(0.2, 256);
  const visitors = share(0.1, 64);
  const sessions = share(0.1, 128);
  return {
    console: {
      strangersMax: visitors,
      strangersOfAddressMax: Math.ceil(visitors / 2),
      knownMax: sessions,
      knownOfOneMax: Math.ceil(sessions / 2),
      strangerMsMax: 30_000,
    },
    admin: {
      strangersMax: strangers,
      strangersOfAddressMax: Math.ceil(strangers / 2),
      knownMax: operators,
      knownOfOneMax: Math.ceil(operators / 2),
      strangerMsMax: 30_000,
    },
    join: {
      strangersMax: join,
      strangersOfAddressMax: Math.ceil(join * 0.75),
      knownMax: 0,
      knownOfOneMax: 0,
      strangerMsMax: 120_000,
    },
  };
}

export function startAdminListener(
  deps: ListenerDeps,
  bind: string,
  { tls }: RenewableCredentials,
  service: BoundService,
  verifyPeer: (certificate: Uint8Array, nowMs: number) => Svid,
): Promise<GrpcServer> {
  /** Accepts operators of this mesh whose certificate is valid now. */
  const isKnown = (certificate: Uint8Array): boolean => {
    try {
      const { spiffeId, trustDomain } = verifyPeer(certificate, deps.clock.nowMs());
      return nameIn(spiffeId, trustDomain, "operator") !== undefined;
    } catch {
      return false; // the peer may connect, and its calls are answered with the reason
    }
  };
  return startGrpcServer({
    ...deps,
    bind,
    credentials: { tls, limits: gateLimits().admin, isKnown },
    services: [service],
    health: ["ashlar.v1.AdminService"],
    reflection: ["ashlar/v1/admin.proto"],
    verifyPeer,
    messageBytesMax: adminMessageBytesMax,
    sessionMegabytesMax: 64,
  });
}

export function startJoinListener(
  deps: ListenerDeps,
  bind: string,
  { tls }: RenewableCredentials,
  services: readonly BoundService[],
): Promise<GrpcServer> {
  return startGrpcServer({
    ...deps,
    bind,
    credentials: { tls, limits: gateLimits().join, isKnown: undefined },
    services,
    health: ["ashlar.v1.JoinService"],
    reflection: ["ashlar/v1/join.proto", "ashlar/v1/membership.proto"],
    messageBytesMax: joinMessageBytesMax,
  });
}

/**
 * Listens on the port of the last run if possible, so that those who have it in a file find it again; otherwise on the
 * configured port; otherwise, if none was given, on a free one. Fails with `unavailable` if a given port is taken.
 */
export async function listenOnFirst<Opened>(
  config: ListenConfig,
  saved: number | undefined,
  listen: (bind: string, port: number) => Promise<Opened>,
): Promise<Opened> {
  const ports = candidatePorts(config, saved);
  for (const [index, port] of ports.entries()) {
    try {
      return await listen(`${renderHost(config.host)}:${port}`, port);
    } catch (error) {
      if (index === ports.length - 1 || !isAshlarError(error, "unavailable")) throw error;
    }
  }
  throw new AshlarError("internal", "no port to listen on");
}

function candidatePorts({ port, isGiven }: ListenConfig, saved: number | undefined): readonly number[] {
  const last = saved === undefined ? [] : [saved];
  if (!isGiven) return [...last, port, 0];
  return port === 0 ? [...last, 0] : [port];
}

/** Renews the control plane's own certificates, which live 90 days, every 30 days while the process runs. */
export async function renewOwn(
  { clock, log, signal }: ListenerDeps & { readonly signal: AbortSignal },
  renew: () => void,
): Promise<void> {
  for (let days = 1; !signal.aborted; days += 1) {
    await clock.sleep(24 * 3_600_000, signal);
    if (signal.aborted || days % 30 !== 0) continue;
    try {
      renew();
    } catch (error) {
      log.error("cannot renew this control plane's certificates", { why: messageOf(error) });
    }
  }
}
