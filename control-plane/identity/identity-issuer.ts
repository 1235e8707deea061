/** Builds what a proxy gets when it joins or renews: a certificate, NATS credentials and the heads of the logs. */

import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { Identity } from "../../proto/gen/ashlar/v1/join.js";
import type { Logger } from "../../runtime/log.js";
import type { Ledger } from "../store/ledger.js";
import type { Authority } from "./authority.js";
import type { IssuedCertificates } from "./issued-certificates.js";

export interface IdentityIssuerDeps {
  readonly authority: Authority;
  readonly issued: IssuedCertificates;
  readonly ledger: Pick<Ledger, "trust" | "activations" | "revisions">;
  /** Returns a signed freshness statement about the present heads. */
  readonly freshness: () => Uint8Array;
  /** Returns the JWT of the NATS user with this public nkey, valid until `expiresMs`. */
  readonly natsUserJwt: (user: string, service: string, proxyId: string, expiresMs: number) => Promise<string>;
  readonly natsServers: () => readonly string[];
  /** The CA certificate of NATS in PEM; empty if NATS uses no TLS. */
  readonly natsCaPem: string;
  /** Returns until when unsigned statements are accepted, in Unix milliseconds. Default: never. */
  readonly unsignedUntilMs?: () => number;
  readonly log: Logger;
}

export interface IssueRequest {
  readonly service: string;
  readonly version: string;
  readonly proxyId: string;
  readonly publicKey: Uint8Array;
  readonly natsUser: string;
  readonly ttlMs?: number;
}

export interface IssuedProxy {
  readonly identity: Identity;
  readonly serial: string;
  readonly notAfterMs: number;
}

export type IdentityIssuer = (request: IssueRequest) => Promise<IssuedProxy>;

/** Creates the issuer, which fails with `unavailable` while there is no trust record. */
export function createIdentityIssuer(deps: IdentityIssuerDeps): IdentityIssuer {
  const { authority, ledger } = deps;
  return async (request) => {
    const trust = ledger.trust.head();
    if (trust === undefined) throw new AshlarError("unavailable", "the mesh's trust log is not ready: try again");
    const certificate = authority.issueService(request);
    const { service, proxyId, version } = request;
    const { natsUser } = request;
    const natsJwt = await deps.natsUserJwt(natsUser, service, proxyId, certificate.notAfterMs);
    deps.issued.add({ serial: certificate.serial, proxyId, service, notAfterMs: certificate.notAfterMs, natsUser });
    const activation = ledger.activations.head();
    const revision = activation && ledger.revisions.find(activation.body.revisionNumber);
    const identity = Identity.fromPartial({
      mesh: authority.mesh,
      proxyId,
      service,
      version,
      certificateChain: certificate.chainDer.map((der) => Buffer.from(der)),
      natsServers: [...deps.natsServers()],
      natsJwt,
      natsCaPem: deps.natsCaPem,
      unsignedUntilMs: deps.unsignedUntilMs?.() ?? 0,
      trust: Buffer.from(trust.bytes),
      activation: Buffer.from(activation?.bytes ?? []),
      revision: Buffer.from(revision?.bytes ?? []),
      freshness: Buffer.from(deps.freshness()),
    });
    return { identity, serial: certificate.serial, notAfterMs: certificate.notAfterMs };
  };
}

/** The heads of the logs that a renewing proxy has seen. */
export interface SeenHeads {
  readonly epoch: number;
  readonly activation: Digest | undefined;
  readonly trustSequence: number;
}

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"; // the alphabet of base32 (RFC 4648) in lower case

/** Returns a new proxy's id, SERVICE-XXXXXXXX, which is a valid label whatever the service's length. */
export function createProxyId(service: string, random: (count: number) => Uint8Array): string {
  const tail = [...random(8)].map((byte) => alphabet[byte & 31]).join("");
  return `${service.replace("/", "-").slice(0, 54).replace(/-+$/, "")}-${tail}`;
}
