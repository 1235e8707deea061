/**
 * A control plane's keys, and the certificates issued with them. One file, DIR/identity/authority.json (mode 0600),
 * written as a whole, holds its Ed25519 signing key and its intermediate CA; on the control plane that began the mesh
 * also the Ed25519 root key and the key of the X.509 root.
 */
import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { AshlarError } from "../../core/errors.js";
import { buildSpiffeId, findMeshNameFault, type ReaderName, readerId, workloadId } from "../../core/identity.js";
import type { Trust } from "../../core/model.js";
import { publicKeyToBytes, type Signer } from "../../core/signature.js";
import type { Clock } from "../../runtime/clock.js";
import type { Svid } from "../../runtime/tls-identity.js";
import { generatePrivateKeyPem, publicKeyDer, toPem } from "../../runtime/tls-identity-keys.js";
import {
  type AuthorityFile,
  type AuthorityKeys,
  authorityOf,
  type CertificateAuthority,
  openAuthorityFile,
  type RootKeys,
} from "./authority-file.js";
import { createRoot, dayMs, issueIntermediate, type KeyedCertificate, verifyAny } from "./ca-certificates.js";
import { generateSigningKey } from "./generate-signing-key.js";
import { createGuardedSigner } from "./guarded-signer.js";
import { type IssuedCertificate, issueLeaf, type Subject } from "./leaf-certificates.js";
import { openSigningKeys, type SigningKeys } from "./signing-keys.js";

/** Certificates of proxies live a day and are renewed every hour. */
export const serviceTtlMs = dayMs;
/** Operators and control planes get a new certificate at each start of `ashlar up`. */
export const operatorTtlMs = 90 * dayMs;
const intermediateRenewMs = 120 * dayMs; // more than any leaf lives, so no leaf is cut short

export type { IssuedCertificate } from "./leaf-certificates.js";
export { dayMs };

export interface IssuedIdentity extends IssuedCertificate {
  readonly privateKeyPem: string;
}

export interface Authority {
  readonly mesh: string;
  /** This control plane's name. */
  readonly name: string;
  /** True if this control plane began the mesh. Only that one changes trust and lets further control planes join. */
  readonly holdsRoot: boolean;
  /** The Ed25519 key, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** The SHA-256 of `rootPublicKey` in lower-case hexadecimal, which tokens and join.json pin. */
  readonly rootHash: string;
  /** Signs revisions, activations and freshness statements with the key in use. */
  readonly signer: Signer;
  /** Replaces the signing key. */
  readonly signing: SigningKeys;
  /** Signs trust records; fails with `unavailable` if this control plane does not hold the root key. */
  readonly rootSigner: Signer;
  /** An intermediate CA for another control plane's key (DER); fails with `unavailable` where the root key is not held. */
  issueIntermediate(publicKey: Uint8Array): Uint8Array;
  /**
   * When the intermediate CA in use expires, in Unix milliseconds. A control plane that holds the root key replaces it
   * before.
   */
  readonly intermediateEndsMs: number;
  /** Switches to an intermediate CA that the control plane with the root key has issued. */
  useIntermediate(certificate: Uint8Array, privateKey: KeyObject): void;
  /** The X.509 root in PEM. */
  readonly caPem: string;
  /** The X.509 root in DER. */
  readonly caDer: Uint8Array;
  /** Returns the body of trust record 1. */
  firstTrust(): Trust;
  /** Issues a proxy's certificate for the key of its request, for 24 h unless stated. */
  issueService(request: ServiceRequest): IssuedCertificate;
  /** A certificate for an application that reads at other services' proxies. It proves a client alone. */
  issueReader(request: ReaderRequest): IssuedCertificate;
  /** Issues a new key and certificate for an operator, for 90 days unless stated. */
  issueOperator(request: { readonly name: string; readonly ttlMs?: number }): IssuedIdentity;
  /** A new key and certificate of a control plane with `localhost`, the loopback addresses and `hosts` as names. */
  issueControlPlane(request: {
    readonly name: string;
    readonly hosts: readonly string[];
    readonly ttlMs?: number;
  }): IssuedIdentity;
  /**
   * Verifies a certificate of this mesh as of `atMs`; fails with `invalid_identity`. `chain`: the certificates between
   * it and the root (DER); without it this control plane must have issued the certificate.
   */
  verifyIssued(certificate: Uint8Array, atMs: number, chain?: readonly Uint8Array[]): Svid;
}

export interface ServiceRequest {
  readonly service: string;
  readonly version: string;
  readonly proxyId: string;
  /** DER of SubjectPublicKeyInfo, from `parseCsr`. */
  readonly publicKey: Uint8Array;
  readonly ttlMs?: number;
}

export interface ReaderRequest extends ReaderName {
  /** The serial number of its proxy's certificate. */
  readonly parentSerial: string;
  /** DER of SubjectPublicKeyInfo, from `parseCsr`. */
  readonly publicKey: Uint8Array;
  readonly ttlMs: number;
}

export interface AuthorityOptions {
  /** The data folder; keys are in its `identity`. */
  readonly dir: string;
  readonly mesh: string;
  /** This control plane's name in a new folder, a label; "main" unless stated. */
  readonly name?: string;
  readonly clock: Clock;
  /** Returns that many random bytes, fit for secrets. */
  readonly random: (count: number) => Uint8Array;
  /** Called with the bytes of each record and statement before it is signed. If it throws, nothing is signed. */
  readonly beforeSigning?: (bytes: Uint8Array) => void;
}

/**
 * Opens the authority of `dir`, creating its keys on the first start. Fails with `invalid_argument` if the
 * folder belongs to another mesh.
 */
export function openAuthority(options: AuthorityOptions): Authority {
  const { mesh, clock, random } = options;
  const file = openAuthorityFile(options.dir, mesh, () =>
    createKeys(mesh, options.name ?? "main", clock.nowMs(), random),
  );
  const { name, caCertificate, rootPublicKey, root } = file.keys;
  const guarded = (key: KeyObject): Signer => createGuardedSigner(key, options.beforeSigning);
  const signing = openSigningKeys(file, guarded);

  const useIntermediate = (next: CertificateAuthority): void => {
    const kept = file.keys.intermediates.filter((one) => one.notAfterMs > clock.nowMs() - 30 * dayMs);
    file.replace({ ...file.keys, intermediates: [next, ...kept].slice(0, intermediatesMax) });
  };

  /** The intermediate that signs now; replaced in good time, kept while certificates under it live. */
  const signingCa = (): CertificateAuthority => {
    const nowMs = clock.nowMs();
    const newest = newestOf(file);
    if (newest.notAfterMs - nowMs > intermediateRenewMs || root === undefined) return newest;
    const next = createIntermediate(mesh, { certificate: caCertificate, privateKey: root.caKey }, nowMs, random);
    useIntermediate(next);
    return next;
  };

  const issue = (subject: Subject): IssuedCertificate => issueLeaf(subject, signingCa(), clock.nowMs(), random);

  const issueWithKey = (subject: Omit<Subject, "publicKey" | "organization">): IssuedIdentity => {
    const privateKeyPem = generatePrivateKeyPem();
    const publicKey = publicKeyDer(privateKeyPem);
    return { ...issue({ ...subject, publicKey, organization: "" }), privateKeyPem };
  };

  return {
    mesh,
    name,
    holdsRoot: root !== undefined,
    rootPublicKey,
    rootHash: createHash("sha256").update(rootPublicKey).digest("hex"),
    signer: signing.signer,
    signing,
    get rootSigner() {
      return guarded(required(root).trustKey);
    },
    issueIntermediate: (publicKey) => issueUnder(file, mesh, publicKey, clock.nowMs(), random),
    get intermediateEndsMs() {
      return newestOf(file).notAfterMs;
    },
    useIntermediate: (certificate, privateKey) => useIntermediate(authorityOf(certificate, privateKey)),
    caPem: toPem([caCertificate]),
    caDer: caCertificate,
    firstTrust: () => ({
      sequence: 1,
      previous: undefined,
      bundles: [{ trustDomain: mesh, x509Roots: [caCertificate] }],
      signingKeys: [signing.current()],
      revocations: [],
      timeMs: clock.nowMs(),
      issuers: [],
      egresses: [],
    }),
    issueService: ({ service, version, proxyId, publicKey, ttlMs = serviceTtlMs }) =>
      issue({ uri: workloadId(mesh, service), organization: version, commonName: proxyId, publicKey, ttlMs }),
    issueReader: ({ service, proxyId, parentSerial, publicKey, ttlMs }) =>
      issue({
        uri: readerId(mesh, { service, proxyId }),
        ...{ organization: parentSerial, commonName: proxyId, publicKey, ttlMs, isClientAlone: true },
      }),
    issueOperator: ({ name: by, ttlMs = operatorTtlMs }) =>
      issueWithKey({ uri: buildSpiffeId(mesh, "operator", by), commonName: by, ttlMs }),
    issueControlPlane: ({ name: own, hosts, ttlMs = operatorTtlMs }) =>
      issueWithKey({ uri: buildSpiffeId(mesh, "control-plane", own), commonName: own, ttlMs, ...namesOf(hosts) }),
    verifyIssued: (certificate, atMs, chain = []) =>
      verifyAny(certificate, chain.length > 0 ? [chain] : ownChains(file), { mesh, root: caCertificate, atMs }),
  };
}

const intermediatesMax = 16;

function newestOf({ keys }: AuthorityFile): CertificateAuthority {
  const [newest] = keys.intermediates;
  if (newest === undefined) throw new AshlarError("internal", "no intermediate CA");
  return newest;
}

function required(root: RootKeys | undefined): RootKeys {
  if (root !== undefined) return root;
  throw new AshlarError(
    "unavailable",
    "this control plane does not hold the mesh's root key: ask the one that began the mesh",
  );
}

function namesOf(hosts: readonly string[]): Pick<Subject, "dnsNames" | "ipAddresses"> {
  const all = new Set(["localhost", "127.0.0.1", "::1", ...hosts]);
  for (const any of ["0.0.0.0", "::", ""]) all.delete(any);
  return {
    dnsNames: [...all].filter((host) => isIP(host) === 0),
    ipAddresses: [...all].filter((host) => isIP(host) !== 0),
  };
}

function issueUnder(
  { keys }: AuthorityFile,
  mesh: string,
  publicKey: Uint8Array,
  nowMs: number,
  random: (count: number) => Uint8Array,
): Uint8Array {
  const root = authorityOf(keys.caCertificate, required(keys.root).caKey);
  return issueIntermediate({ mesh, publicKey, notAfterMsMax: root.notAfterMs }, root, nowMs, random);
}

const ownChains = ({ keys }: AuthorityFile) => keys.intermediates.map(({ certificate }) => [certificate]);

function createKeys(mesh: string, name: string, nowMs: number, random: (count: number) => Uint8Array): AuthorityKeys {
  const fault = findMeshNameFault(mesh);
  if (fault !== undefined) throw new AshlarError("invalid_argument", `not a name for a mesh: ${fault}`);
  const ca = createRoot(mesh, nowMs, random);
  const [trustKey, signingKey] = [generateSigningKey(), generateSigningKey()];
  return {
    name,
    rootPublicKey: publicKeyToBytes(trustKey),
    signingKey,
    caCertificate: ca.certificate,
    intermediates: [createIntermediate(mesh, ca, nowMs, random)],
    root: { trustKey, caKey: ca.privateKey },
  };
}

function createIntermediate(
  mesh: string,
  root: KeyedCertificate,
  nowMs: number,
  random: (count: number) => Uint8Array,
): CertificateAuthority {
  const privateKey = createPrivateKey(generatePrivateKeyPem());
  const notAfterMsMax = authorityOf(root.certificate, root.privateKey).notAfterMs;
  const request = { mesh, publicKey: publicKeyDer(privateKey), notAfterMsMax };
  return authorityOf(issueIntermediate(request, root, nowMs, random), privateKey);
}
