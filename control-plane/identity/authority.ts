/**
 * The mesh's keys and what is issued under them. One file, DIR/identity/authority.json (mode 0600),
 * written as a whole, holds the Ed25519 root and signing keys and the X.509 root and intermediate CAs.
 */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { AshlarError } from "../../core/errors.js";
import { buildSpiffeId, type IdentityRole, isLabel, type SpiffeId } from "../../core/identity.js";
import type { Trust } from "../../core/model.js";
import { createSigner, publicKeyToBytes, type Signer } from "../../core/signature.js";
import type { Clock } from "../../runtime/clock.js";
import { type Svid, verifySvidChain } from "../../runtime/tls-identity.js";
import { generatePrivateKeyPem, issueCertificate, publicKeyDer, toPem } from "../../runtime/tls-identity-issue.js";
import { type AuthorityKeys, type CertificateAuthority, openAuthorityFile } from "./authority-file.js";

export const dayMs = 86_400_000;
/** Certificates of proxies live a day and are renewed every hour. */
export const serviceTtlMs = dayMs;
/** Operators and control planes get a new certificate at each start of `ashlar up`. */
export const operatorTtlMs = 90 * dayMs;
const rootTtlMs = 3650 * dayMs;
const intermediateTtlMs = 365 * dayMs;
const intermediateRenewMs = 120 * dayMs; // more than any leaf lives, so no leaf is cut short
const skewMs = 60_000; // clocks of proxies may be behind by a minute

export interface IssuedCertificate {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first, without the root. */
  readonly chainDer: readonly Uint8Array[];
  readonly chainPem: string;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  readonly notAfterMs: number;
}

export interface IssuedIdentity extends IssuedCertificate {
  readonly privateKeyPem: string;
}

export interface Authority {
  readonly mesh: string;
  /** Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** SHA-256 of `rootPublicKey`, lower-case hexadecimal: what tokens and join.json pin. */
  readonly rootHash: string;
  /** Signs revisions, activations and freshness statements. */
  readonly signer: Signer;
  /** Signs trust records. */
  readonly rootSigner: Signer;
  /** The X.509 root, PEM. */
  readonly caPem: string;
  /** The X.509 root, DER. */
  readonly caDer: Uint8Array;
  /** The body of trust record 1. */
  firstTrust(): Trust;
  /** A proxy's certificate for the key of its request, 24 h unless stated. */
  issueService(request: ServiceRequest): IssuedCertificate;
  /** A new key and certificate for an operator, 90 days unless stated. */
  issueOperator(request: { readonly name: string; readonly ttlMs?: number }): IssuedIdentity;
  /** A new key and certificate of a control plane with `localhost`, the loopback addresses and `hosts` as names. */
  issueControlPlane(request: {
    readonly name: string;
    readonly hosts: readonly string[];
    readonly ttlMs?: number;
  }): IssuedIdentity;
  /** Verifies a certificate that this authority issued, as of `atMs`; fails with `invalid_identity`. */
  verifyIssued(certificate: Uint8Array, atMs: number): Svid;
}

export interface ServiceRequest {
  readonly service: string;
  readonly version: string;
  readonly proxyId: string;
  /** DER of SubjectPublicKeyInfo, from `parseCsr`. */
  readonly publicKey: Uint8Array;
  readonly ttlMs?: number;
}

export interface AuthorityOptions {
  /** The data folder; keys are in its `identity`. */
  readonly dir: string;
  readonly mesh: string;
  /** This control plane's name, a label. */
  readonly name?: string;
  readonly clock: Clock;
  /** That many random bytes, fit for secrets. */
  readonly random: (count: number) => Uint8Array;
}

/**
 * Opens the authority of `dir`, creating its keys on the first start. Fails with `invalid_argument` if the
 * folder belongs to another mesh.
 */
export function openAuthority(options: AuthorityOptions): Authority {
  const { mesh, clock, random } = options;
  const name = options.name ?? "main";
  const file = openAuthorityFile(options.dir, mesh, () => createKeys(mesh, clock.nowMs(), random));
  const { rootKey, signingKey, ca } = file.keys;
  const rootPublicKey = publicKeyToBytes(rootKey);
  const signer = createSigner(signingKey);

  /** The intermediate that signs now; replaced in good time, kept while certificates under it live. */
  const signingCa = (): CertificateAuthority => {
    const nowMs = clock.nowMs();
    const [newest] = file.keys.intermediates;
    if (newest !== undefined && newest.notAfterMs - nowMs > intermediateRenewMs) return newest;
    const next = createIntermediate(mesh, ca, nowMs, random);
    const kept = file.keys.intermediates.filter((one) => one.notAfterMs > nowMs - 30 * dayMs);
    file.replace({ ...file.keys, intermediates: [next, ...kept] });
    return next;
  };

  const issue = (subject: Subject): IssuedCertificate => {
    const signing = signingCa();
    const nowMs = clock.nowMs();
    const serial = serialFrom(random);
    const notAfterMs = Math.min(nowMs + subject.ttlMs, signing.notAfterMs);
    const spiffeId = buildSpiffeId(mesh, subject.role, subject.name);
    const leaf = issueCertificate(
      { ...subject, serial, uri: spiffeId, notBeforeMs: nowMs - Math.min(skewMs, subject.ttlMs / 2), notAfterMs },
      signing,
    );
    const chainDer = [leaf, signing.certificate];
    const hex = Buffer.from(serial).toString("hex");
    const lived = Math.floor(notAfterMs / 1000) * 1000; // what the certificate says: whole seconds
    return { spiffeId, chainDer, chainPem: toPem(chainDer), serial: hex, notAfterMs: lived };
  };

  const issueWithKey = (subject: Omit<Subject, "publicKey" | "organization" | "commonName">): IssuedIdentity => {
    const privateKeyPem = generatePrivateKeyPem();
    const publicKey = publicKeyDer(privateKeyPem);
    return { ...issue({ ...subject, publicKey, organization: "", commonName: subject.name }), privateKeyPem };
  };

  return {
    mesh,
    rootPublicKey,
    rootHash: createHash("sha256").update(rootPublicKey).digest("hex"),
    signer,
    rootSigner: createSigner(rootKey),
    caPem: toPem([ca.certificate]),
    caDer: ca.certificate,
    firstTrust: () => ({
      sequence: 1,
      previous: undefined,
      bundles: [{ trustDomain: mesh, x509Roots: [ca.certificate] }],
      signingKeys: [{ kid: signer.kid, publicKey: publicKeyToBytes(signingKey), holder: name }],
      revocations: [],
      timeMs: clock.nowMs(),
    }),
    issueService: ({ service, version, proxyId, publicKey, ttlMs = serviceTtlMs }) =>
      issue({ role: "service", name: service, organization: version, commonName: proxyId, publicKey, ttlMs }),
    issueOperator: ({ name: operator, ttlMs = operatorTtlMs }) =>
      issueWithKey({ role: "operator", name: operator, ttlMs }),
    issueControlPlane: ({ name: own, hosts, ttlMs = operatorTtlMs }) =>
      issueWithKey({ role: "control-plane", name: own, ttlMs, ...namesOf(hosts) }),
    verifyIssued: (certificate, atMs) => verifyAny(certificate, file.keys, mesh, atMs),
  };
}

interface Subject {
  readonly role: IdentityRole;
  readonly name: string;
  readonly organization: string;
  readonly commonName: string;
  readonly publicKey: Uint8Array;
  readonly ttlMs: number;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** 126 random bits in 16 bytes; the first is neither 0 nor above 7f, so the number is positive and of one length. */
function serialFrom(random: (count: number) => Uint8Array): Uint8Array {
  const serial = Uint8Array.from(random(16));
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

function namesOf(hosts: readonly string[]): Pick<Subject, "dnsNames" | "ipAddresses"> {
  const all = new Set(["localhost", "127.0.0.1", "::1", ...hosts]);
  for (const any of ["0.0.0.0", "::", ""]) all.delete(any);
  return {
    dnsNames: [...all].filter((host) => isIP(host) === 0),
    ipAddresses: [...all].filter((host) => isIP(host) !== 0),
  };
}

function verifyAny(certificate: Uint8Array, keys: AuthorityKeys, mesh: string, atMs: number): Svid {
  let problem: unknown = new AshlarError("invalid_identity", "certificate: not issued by this mesh");
  for (const { certificate: signing } of keys.intermediates) {
    try {
      return verifySvidChain([certificate, signing], (domain) => (domain === mesh ? [keys.ca.certificate] : []), atMs);
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

function createKeys(mesh: string, nowMs: number, random: (count: number) => Uint8Array): AuthorityKeys {
  if (!/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/.test(mesh) || !mesh.split(".").every(isLabel)) {
    throw new AshlarError(
      "invalid_argument",
      `not a name for a mesh (labels of a-z, 0-9 and "-"): ${JSON.stringify(mesh)}`,
    );
  }
  const ca = createRoot(mesh, nowMs, random);
  const ed25519 = (): KeyObject => generateKeyPairSync("ed25519").privateKey;
  return {
    rootKey: ed25519(),
    signingKey: ed25519(),
    ca,
    intermediates: [createIntermediate(mesh, ca, nowMs, random)],
  };
}

function createRoot(mesh: string, nowMs: number, random: (count: number) => Uint8Array): CertificateAuthority {
  const privateKey = createPrivateKey(generatePrivateKeyPem());
  const notAfterMs = nowMs + rootTtlMs;
  const contents = {
    serial: serialFrom(random),
    organization: mesh,
    commonName: "Ashlar root CA",
    notBeforeMs: nowMs - skewMs,
    notAfterMs,
    publicKey: publicKeyDer(privateKey),
    uri: `spiffe://${mesh}`,
    pathLength: 1,
  };
  return { certificate: issueCertificate(contents, { selfKey: privateKey }), privateKey, notAfterMs };
}

function createIntermediate(
  mesh: string,
  root: CertificateAuthority,
  nowMs: number,
  random: (count: number) => Uint8Array,
): CertificateAuthority {
  const privateKey = createPrivateKey(generatePrivateKeyPem());
  const serial = serialFrom(random);
  const notAfterMs = Math.min(nowMs + intermediateTtlMs, root.notAfterMs);
  const contents = {
    serial,
    organization: mesh,
    commonName: `Ashlar intermediate CA ${Buffer.from(serial).toString("hex").slice(0, 8)}`,
    notBeforeMs: nowMs - skewMs,
    notAfterMs,
    publicKey: publicKeyDer(privateKey),
    uri: `spiffe://${mesh}`,
    pathLength: 0,
  };
  return { certificate: issueCertificate(contents, root), privateKey, notAfterMs };
}
