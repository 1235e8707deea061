/**
 * Who a TLS peer is: X.509-SVIDs judged on their DER by the SPIFFE rules (SPIFFE-ID.md, X509-SVID.md,
 * RFC 5280), for every connection and whatever the TLS library already checked. Host names, CN and
 * DNS names never make an identity.
 */
import { X509Certificate } from "node:crypto";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import { parseSpiffeId, type SpiffeId, trustDomainOf } from "../core/identity.js";
import {
  type CertificateFields,
  readBits,
  readCertificate,
  readDer,
  readDerList,
  readOid,
  readSmallInteger,
  readTrue,
} from "./tls-identity-der.js";

/** A leaf certificate that obeys the rules for leaves. Nothing is said about who signed it. */
export interface Svid {
  readonly spiffeId: SpiffeId;
  readonly trustDomain: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly der: Uint8Array;
}

const oids = {
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** Critical extensions that are understood; any other makes a certificate unacceptable (RFC 5280 4.2). */
const understood: ReadonlySet<string> = new Set([
  oids.keyUsage,
  oids.subjectAltName,
  oids.basicConstraints,
  oids.extendedKeyUsage,
]);

const signatureAlgorithms: ReadonlySet<string> = new Set([
  "1.2.840.10045.4.3.2", // ECDSA with SHA-256, -384, -512
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
  "1.3.101.112", // Ed25519
  "1.2.840.113549.1.1.11", // RSA with SHA-256, -384, -512
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
]);

/** GeneralName's choices in DER (RFC 5280 4.2.1.6), strings primitive. */
const nameTags: ReadonlySet<number> = new Set([0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88]);

const usageBits = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const;
const chainMax = 4;

function refused(why: string, cause?: unknown): AshlarError {
  return new AshlarError("invalid_identity", `certificate: ${why}`, cause === undefined ? {} : { cause });
}

/** The URIs of the subject alternative name. Control bytes in a name of any kind are refused. */
/** The URI names of a certificate. Fails with `invalid_identity` if its names are malformed. */
export function readUriNames(der: Uint8Array): readonly string[] {
  return readUris(readCertificate(der));
}

function readUris(fields: CertificateFields): readonly string[] {
  const extension = fields.extensions.get(oids.subjectAltName);
  if (extension === undefined) return [];
  const uris: string[] = [];
  for (const name of readDerList(readDer(extension.value, 0x30).content)) {
    if (!nameTags.has(name.tag)) throw refused("a subject alternative name of no known kind");
    const isText = name.tag === 0x81 || name.tag === 0x82 || name.tag === 0x86; // rfc822Name, dNSName, URI: IA5String
    if (isText && name.content.some((byte) => byte < 0x20 || byte > 0x7e)) {
      throw refused("a control byte or a byte outside ASCII in a subject alternative name");
    }
    if (name.tag === 0x86) uris.push(Buffer.from(name.content).toString("latin1"));
  }
  return uris;
}

function readBasicConstraints(fields: CertificateFields): { readonly isCa: boolean; readonly pathLength: number } {
  const extension = fields.extensions.get(oids.basicConstraints);
  if (extension === undefined) return { isCa: false, pathLength: 0 };
  const nodes = readDerList(readDer(extension.value, 0x30).content);
  const flag = nodes[0]?.tag === 0x01 ? nodes.shift() : undefined;
  const isCa = flag !== undefined && readTrue(flag);
  const length = nodes.shift();
  if (nodes.length > 0) throw refused("basic constraints with too many parts");
  return { isCa, pathLength: length === undefined ? Number.POSITIVE_INFINITY : readSmallInteger(length) };
}

function readKeyUsage(fields: CertificateFields): { readonly critical: boolean; has(bit: number): boolean } {
  const extension = fields.extensions.get(oids.keyUsage);
  if (extension === undefined) throw refused("no key usage");
  const bits = readBits(readDer(extension.value, 0x03));
  return { critical: extension.critical, has: (bit) => bits.has(bit) };
}

function checkCommon(fields: CertificateFields): void {
  for (const { oid, critical } of fields.extensions.values()) {
    if (critical && !understood.has(oid)) throw refused(`critical extension ${oid} is not understood`);
  }
  if (!signatureAlgorithms.has(fields.signatureAlgorithm)) {
    throw refused(`signature algorithm ${fields.signatureAlgorithm} is not accepted`);
  }
}

function checkExtendedUsage(fields: CertificateFields): void {
  const extension = fields.extensions.get(oids.extendedKeyUsage);
  if (extension === undefined) return;
  const usages = readDerList(readDer(extension.value, 0x30).content).map((node) => readOid(node.content));
  if (!usages.includes(oids.serverAuth) || !usages.includes(oids.clientAuth)) {
    throw refused("extended key usage without both serverAuth and clientAuth");
  }
}

/**
 * Parses a leaf: exactly one URI name, a workload's SPIFFE ID, no CA, key usage critical with
 * digitalSignature and without keyCertSign and cRLSign, extended usage (if any) for both sides.
 * Checks no signature and no time. Fails with `invalid_identity`.
 */
export function parseSvid(der: Uint8Array): Svid {
  const fields = readCertificate(der);
  checkCommon(fields);
  const [uri, ...more] = readUris(fields);
  if (uri === undefined || more.length > 0) {
    throw refused(`exactly one URI name is wanted, it has ${uri === undefined ? 0 : more.length + 1}`);
  }
  const spiffeId = parseSpiffeId(uri);
  if (readBasicConstraints(fields).isCa) throw refused("a signing certificate does not authenticate");
  const usage = readKeyUsage(fields);
  if (!usage.critical) throw refused("the key usage is not critical");
  if (!usage.has(usageBits.digitalSignature)) throw refused("no key usage digitalSignature");
  if (usage.has(usageBits.keyCertSign) || usage.has(usageBits.crlSign)) {
    throw refused("key usage keyCertSign or cRLSign in a leaf");
  }
  checkExtendedUsage(fields);
  return {
    spiffeId,
    trustDomain: trustDomainOf(spiffeId),
    serial: fields.serial,
    notBeforeMs: fields.notBeforeMs,
    notAfterMs: fields.notAfterMs,
    der,
  };
}

function checkTime(times: { readonly notBeforeMs: number; readonly notAfterMs: number }, nowMs: number): void {
  if (nowMs < times.notBeforeMs) throw refused(`not valid before ${new Date(times.notBeforeMs).toISOString()}`);
  // notAfter is inclusive to the second (RFC 5280 4.1.2.5)
  if (nowMs >= times.notAfterMs + 1000) throw refused(`expired at ${new Date(times.notAfterMs).toISOString()}`);
}

/** Checks that `der` may sign for `trustDomain` with `below` intermediates between it and the leaf. */
function checkSigner(der: Uint8Array, trustDomain: string, below: number, nowMs: number): void {
  const fields = readCertificate(der);
  checkCommon(fields);
  checkTime(fields, nowMs);
  const { isCa, pathLength } = readBasicConstraints(fields);
  if (!isCa) throw refused("signed by a certificate that is no CA");
  if (pathLength < below) throw refused(`a path longer than its CA allows (${pathLength})`);
  if (!readKeyUsage(fields).has(usageBits.keyCertSign)) throw refused("signed by a CA without keyCertSign");
  for (const uri of readUris(fields)) {
    if (uri !== `spiffe://${trustDomain}`) throw refused(`signed by a CA of ${JSON.stringify(uri.slice(0, 200))}`);
  }
}

function signs(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

/**
 * Verifies a chain (leaf first, each signed by the next, with or without the root) against the roots of
 * the leaf's own trust domain and no others. Synchronous. Fails with `invalid_identity`.
 */
export function verifySvidChain(
  chainDer: readonly Uint8Array[],
  rootsOf: (trustDomain: string) => readonly Uint8Array[],
  nowMs: number,
): Svid {
  const [leafDer, ...signersDer] = chainDer;
  if (leafDer === undefined) throw refused("there is none");
  if (chainDer.length > chainMax) throw refused(`a chain of ${chainDer.length}, at most ${chainMax} are read`);
  const svid = parseSvid(leafDer);
  checkTime(svid, nowMs);
  const roots = rootsOf(svid.trustDomain);
  if (roots.length === 0) throw refused(`trust domain ${svid.trustDomain} is not trusted`);
  try {
    verifyPath(leafDer, signersDer, roots, svid.trustDomain, nowMs);
  } catch (cause) {
    throw isAshlarError(cause) ? cause : refused(messageOf(cause), cause);
  }
  return svid;
}

function verifyPath(
  leafDer: Uint8Array,
  signersDer: readonly Uint8Array[],
  roots: readonly Uint8Array[],
  trustDomain: string,
  nowMs: number,
): void {
  let current = new X509Certificate(leafDer);
  for (let below = 0; ; below++) {
    const signers = roots.filter((der) => signs(new X509Certificate(der), current));
    if (signers.length > 0) {
      checkAnySigner(signers, trustDomain, below, nowMs);
      return;
    }
    const nextDer = signersDer[below];
    if (nextDer === undefined) throw refused(`no root of ${trustDomain} signed it`);
    const next = new X509Certificate(nextDer);
    if (!signs(next, current)) throw refused("the chain is broken: a signature does not hold");
    checkSigner(nextDer, trustDomain, below, nowMs);
    current = next;
  }
}

/** A root may stand in the bundle twice while it is being replaced: one good one is enough. */
function checkAnySigner(signers: readonly Uint8Array[], trustDomain: string, below: number, nowMs: number): void {
  let problem: unknown;
  for (const der of signers) {
    try {
      checkSigner(der, trustDomain, below, nowMs);
      return;
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

/** Passes `svid` on unless it is revoked. `isRevoked` tells of a serial number in lower-case hexadecimal. */
export function checkRevocation(svid: Svid, trust: { isRevoked(serial: string): boolean }): Svid {
  if (trust.isRevoked(svid.serial)) throw refused(`${svid.serial} is revoked`);
  return svid;
}
