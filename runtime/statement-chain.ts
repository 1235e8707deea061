/** Finds out which proxy a certificate chain of the mesh was issued to. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { AshlarError, messageOf } from "../core/errors.js";
import { workloadIn } from "../core/identity.js";
import { isProxyId } from "../core/wire/bounds.js";
import type { FleetWriter } from "../core/wire/fleet.js";
import { parseSvid, verifySvidChain } from "./tls-identity.js";
import { readCertificate, readName } from "./tls-identity-der.js";

/** The writer that a verified chain identifies. */
export interface Known {
  readonly writer: FleetWriter;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly key: KeyObject;
  readonly leaf: Uint8Array;
}

/**
 * Returns the proxy that the chain was issued to, whatever the time. It must be `writer`; a `writer` without a proxy id
 * stands for any proxy of the service. Fails with `invalid_identity` or `unauthenticated`.
 */
export function identify(
  chain: readonly Uint8Array[],
  leaf: Uint8Array,
  roots: readonly Uint8Array[],
  mesh: string,
  writer: FleetWriter,
): Known {
  const [der = new Uint8Array()] = chain;
  const claimed = parseSvid(der);
  const { subject, publicKey } = readCertificate(der);
  const proxyId = readName(subject).commonName;
  const service = workloadIn(claimed.spiffeId, mesh);
  // this check comes before the verification of the chain, which costs more, so that nobody can make a reader verify
  // chains in another proxy's name with his own certificate
  const isWriter = service === writer.service && (writer.proxyId === "" || proxyId === writer.proxyId);
  if (!isWriter || !isProxyId(proxyId))
    throw refused(`its certificate is of proxy ${JSON.stringify(proxyId.slice(0, 64))}, ${claimed.spiffeId}`);
  const { serial, notBeforeMs, notAfterMs } = verifySvidChain(
    chain,
    (domain) => (domain === mesh ? roots : []),
    claimed.notBeforeMs,
  );
  const key = readKey(publicKey);
  return { writer: { service, proxyId }, serial, notBeforeMs, notAfterMs, key, leaf };
}

/** Fails with `unauthenticated` if a certificate belongs to another writer. */
export function checkSame(known: FleetWriter, { service, proxyId }: FleetWriter): void {
  if (known.service !== service || known.proxyId !== proxyId)
    throw refused(`its certificate is of proxy "${known.proxyId}", service ${known.service}`);
}

function readKey(spki: Uint8Array): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw refused("its key is not on the curve P-256");
    return key;
  } catch (cause) {
    throw cause instanceof AshlarError ? cause : refused(`its key is not readable: ${messageOf(cause)}`);
  }
}

/** Returns the error that refuses a statement. */
export function refused(why: string): AshlarError {
  return new AshlarError("unauthenticated", `statement: ${why}`);
}
