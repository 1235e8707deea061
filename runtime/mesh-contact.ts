/**
 * Contacts a join listener knowing only the pinned hash of the mesh's root key. It first reads the trust log over an
 * unverified connection and checks it against the pin. Only over a second connection, to a server whose certificate
 * that trust log vouches for, does it send a secret or a request.
 */
import { isIP } from "node:net";
import type { DetailedPeerCertificate } from "node:tls";
import { type Client, credentials } from "@grpc/grpc-js";
import { digestOf } from "../core/digest.js";
import { AshlarError, type ErrorCode, isAshlarError, messageOf } from "../core/errors.js";
import { nameIn } from "../core/identity.js";
import type { Signed, Trust } from "../core/model.js";
import { mayTrust } from "../core/trust.js";
import { rootKeySet, verifyTrust } from "../core/wire/records.js";
import { GetTrustRequest, JoinServiceService } from "../proto/gen/ashlar/v1/join.js";
import type { Clock } from "./clock.js";
import { callUnary, connectGrpc } from "./grpc-client.js";
import { checkRevocation, verifySvidChain } from "./tls-identity.js";
import { toPem } from "./tls-identity-keys.js";

/** The trust in the mesh that is known before a contact. */
export interface KnownTrust {
  readonly mesh: string;
  readonly trust: Signed<Trust>;
}

export interface LearntTrust extends KnownTrust {
  /** The Ed25519 key, 32 bytes; its hash is the pin. */
  readonly rootPublicKey: Uint8Array;
}

export interface ContactDeps {
  /** "HOST:PORT" of the join listener. */
  readonly address: string;
  /** The SHA-256 of the mesh's root key: the pin. */
  readonly rootHash: string;
  readonly clock: Clock;
}

export const contactTimeoutMs = 10_000;
const timeoutMs = contactTimeoutMs;
const pagesMax = 1000;

const addressesMax = 16;
/** Failures after which trying again may help. */
const healing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["unavailable", "deadline", "limit", "internal"]);

/** Returns whether trying again may help. */
export function mayHeal(error: unknown): boolean {
  return isAshlarError(error) && healing.has(error.code);
}

/** Returns the join listeners of a mesh; `join` is the field of join.json, "HOST:PORT" or several joined by commas. */
export function joinAddresses(join: string, more: readonly string[] = []): readonly string[] {
  const all = [...join.split(","), ...more].map((text) => text.trim()).filter((text) => text !== "");
  return [...new Set(all)].slice(0, addressesMax);
}

/**
 * Tries one control plane after the other until `act` succeeds. If it never does, fails with the failure that `choose`
 * selects from all of them (one for each address, in order).
 */
export async function contactAny<Result>(
  addresses: readonly string[],
  act: (address: string) => Promise<Result>,
  choose: (failures: readonly unknown[]) => unknown,
): Promise<Result> {
  const failures: unknown[] = [];
  for (const address of addresses) {
    try {
      return await act(address);
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures.length === 0 ? new AshlarError("invalid_argument", "no address to join at") : choose(failures);
}

/** Returns the SHA-256 of the root's key, which tokens and join.json pin. */
export const rootHashOf = (rootPublicKey: Uint8Array): string => digestOf(rootPublicKey);

/** Returns the roots of a trust domain in a trust record. */
export function rootsIn(trust: Trust, trustDomain: string): readonly Uint8Array[] {
  return trust.bundles.find((bundle) => bundle.trustDomain === trustDomain)?.x509Roots ?? [];
}

/**
 * Reads the trust log from the known record on, link by link from the pinned root. Fails with `unauthenticated` on
 * another root, with `invalid_record` on a log with a gap or a fork, and with `unavailable`.
 */
export async function learnTrust(
  deps: ContactDeps,
  known: KnownTrust | undefined,
  signal: AbortSignal,
): Promise<LearntTrust> {
  const anyone = credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  const client = connectGrpc({ address: deps.address, credentials: anyone, options: sniOf(deps.address) });
  try {
    let [trust, mesh, rootPublicKey] = [known?.trust, known?.mesh, undefined as Uint8Array | undefined];
    for (let page = 0; page < pagesMax; page++) {
      const request = GetTrustRequest.fromPartial({ afterSequence: trust?.body.sequence ?? 0 });
      const answer = await callUnary(client, JoinServiceService.getTrust, request, { timeoutMs, signal });
      mesh ??= answer.mesh;
      if (rootHashOf(answer.rootPublicKey) !== deps.rootHash || answer.mesh !== mesh) {
        throw new AshlarError(
          "unauthenticated",
          `the control plane at ${deps.address} is not the mesh that was pinned: check --join and --token`,
        );
      }
      rootPublicKey = new Uint8Array(answer.rootPublicKey);
      for (const bytes of answer.records) {
        const next = verifyTrust(bytes, mesh, rootKeySet(rootPublicKey));
        // a log that lost its first records begins later; the root signed each record for all that it says
        if (trust !== undefined && !mayTrust(trust, next.body))
          throw new AshlarError("invalid_record", "the trust log has a gap or a fork");
        trust = next;
      }
      if (answer.records.length === 0 && trust !== undefined) return { mesh, trust, rootPublicKey };
      if (answer.records.length === 0) throw new AshlarError("unavailable", "the mesh's trust log is empty");
    }
    throw new AshlarError("limit", "the trust log does not end");
  } finally {
    client.close();
  }
}

/**
 * Returns the option for a server name: RFC 6066 allows no IP address in SNI, so a fixed name replaces it. It is not
 * checked; the SPIFFE ID is.
 */
function sniOf(address: string): { readonly "grpc.ssl_target_name_override"?: string } {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(":"))).replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? {} : { "grpc.ssl_target_name_override": "localhost" };
}

/** Connects to a server that proves to be a control plane of the mesh, and runs `act` with the connection. */
export async function withVerified<Result>(
  deps: ContactDeps,
  { mesh, trust }: KnownTrust,
  act: (client: Client) => Promise<Result>,
): Promise<Result> {
  let problem: AshlarError | undefined;
  const checkServerIdentity = (_host: string, peer: unknown): Error | undefined => {
    try {
      verifyControlPlane(peer as DetailedPeerCertificate, mesh, trust.body, deps.clock.nowMs());
      return undefined;
    } catch (cause) {
      problem = new AshlarError("unavailable", `the control plane at ${deps.address}: ${messageOf(cause)}`, { cause });
      return problem;
    }
  };
  const roots = Buffer.from(toPem(rootsIn(trust.body, mesh)));
  const client = connectGrpc({
    address: deps.address,
    credentials: credentials.createSsl(roots, null, null, { checkServerIdentity }),
    options: sniOf(deps.address),
  });
  try {
    return await act(client);
  } catch (error) {
    throw problem ?? error;
  } finally {
    client.close();
  }
}

/** Verifies that the peer is a control plane of the mesh, by its SPIFFE ID and never by a host name. */
function verifyControlPlane(peer: DetailedPeerCertificate, mesh: string, trust: Trust, nowMs: number): void {
  const chain: Uint8Array[] = [];
  for (let one: DetailedPeerCertificate | undefined = peer; one?.raw !== undefined && chain.length < 5; ) {
    chain.push(one.raw);
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate;
  }
  const svid = verifySvidChain(chain, (domain) => rootsIn(trust, domain), nowMs);
  checkRevocation(svid, { isRevoked: (serial) => trust.revocations.some((one) => one.serial === serial) });
  if (nameIn(svid.spiffeId, mesh, "control-plane") === undefined) {
    throw new AshlarError("invalid_identity", `${svid.spiffeId} is no control plane`);
  }
}
