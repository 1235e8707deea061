/**
 * Finds out who a TLS peer is: verifies X.509-SVIDs from their DER by the SPIFFE rules (SPIFFE-ID.md, X509-SVID.md, RFC
 * 5280), for every connection and regardless of what the TLS library has checked. Host names, CN and DNS names never
 * make an identity.
 */
import { X509Certificate } from "node:crypto";
import { isAshlarError, messageOf } from "../core/errors.js";
import { parseSpiffeId, type ReaderName, readerIn, type SpiffeId, trustDomainOf } from "../core/identity.js";
import { type CertificateFields, readCertificate, readName } from "./tls-identity-der.js";
import {
  checkCommon,
  checkExtendedUsage,
  readBasicConstraints,
  readKeyUsage,
  readUris,
  refused,
  usageBits,
} from "./tls-identity-rules.js";

export { readUriNames } from "./tls-identity-rules.js";

/** A leaf certificate that obeys the rules for leaves; who signed it has not been checked. */
export interface Svid {
  readonly spiffeId: SpiffeId;
  readonly trustDomain: string;
  /** The serial number in lower-case hexadecimal. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly der: Uint8Array;
  /** Whose application it is, if it is a reader's (`parseCallerSvid`). */
  readonly reader?: Reader;
}

/** What a certificate says that lets an application read at other services' proxies. */
export interface Reader extends ReaderName {
  /** The serial number of its proxy's certificate: whoever revokes that one revokes this one. */
  readonly parentSerial: string;
}

const chainMax = 4;

/**
 * Parses a leaf: exactly one URI name, a workload's SPIFFE ID, no CA, key usage critical with
 * digitalSignature and without keyCertSign and cRLSign, extended usage (if any) for both sides.
 * Checks no signature and no time. Fails with `invalid_identity`, with a reader's certificate too.
 */
export function parseSvid(der: Uint8Array): Svid {
  const svid = parseCallerSvid(der);
  if (svid.reader !== undefined) throw refused("a reader's, which is for calls to services' proxies alone");
  return svid;
}

/**
 * The same for who calls a service's proxy: it may also be a reader, whose certificate is that of a client alone and names
 * the certificate under which it was issued.
 */
export function parseCallerSvid(der: Uint8Array): Svid {
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
  const reader = readReader(spiffeId, fields);
  checkExtendedUsage(fields, reader !== undefined);
  return {
    spiffeId,
    trustDomain: trustDomainOf(spiffeId),
    serial: fields.serial,
    notBeforeMs: fields.notBeforeMs,
    notAfterMs: fields.notAfterMs,
    der,
    ...(reader && { reader }),
  };
}

const serialGrammar = /^[0-9a-f]{2,64}$/;

function readReader(id: SpiffeId, { subject }: CertificateFields): Reader | undefined {
  const name = readerIn(id);
  if (name === undefined) return undefined;
  const { organization: parentSerial } = readName(subject);
  if (!serialGrammar.test(parentSerial)) throw refused("a reader's that names no certificate of its proxy");
  return { ...name, parentSerial };
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
 * Verifies a chain (leaf first, each signed by the next, with or without the root) against the roots of the leaf's own
 * trust domain and no others. Synchronous. Fails with `invalid_identity`.
 */
export function verifySvidChain(
  chainDer: readonly Uint8Array[],
  rootsOf: (trustDomain: string) => readonly Uint8Array[],
  nowMs: number,
  parse: typeof parseSvid = parseSvid,
): Svid {
  const [leafDer, ...signersDer] = chainDer;
  if (leafDer === undefined) throw refused("there is none");
  if (chainDer.length > chainMax) throw refused(`a chain of ${chainDer.length}, at most ${chainMax} are read`);
  const svid = parse(leafDer);
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

/**
 * Checks that one of the signers may sign. A root may be in the bundle twice while it is being replaced, so one valid
 * one is enough.
 */
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

/**
 * Passes `svid` on unless it is revoked, or it is a reader's whose proxy is. `isRevoked` tells of a serial number in lower-case
 * hexadecimal.
 */
export function checkRevocation(svid: Svid, trust: { isRevoked(serial: string): boolean }): Svid {
  const { reader } = svid;
  if (reader !== undefined && trust.isRevoked(reader.parentSerial))
    throw refused(`${svid.serial} is of an application of proxy ${reader.proxyId}, which is revoked`);
  if (trust.isRevoked(svid.serial)) throw refused(`${svid.serial} is revoked`);
  return svid;
}
