/** DIR/identity/authority.json: the secret keys of a control plane, parsed strictly and always written as a whole. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { publicKeyFromBytes, publicKeyToBytes } from "../../core/signature.js";
import { makePrivateFolder, readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import { readCertificate } from "../../runtime/tls-identity-der.js";

export interface CertificateAuthority {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
  readonly notAfterMs: number;
}

/** The keys that only the control plane has that began the mesh. */
export interface RootKeys {
  /** The Ed25519 key that signs trust records. */
  readonly trustKey: KeyObject;
  /** The key that signs intermediate CAs. */
  readonly caKey: KeyObject;
}

export interface AuthorityKeys {
  /** The control plane's name. */
  readonly name: string;
  /** The Ed25519 key, 32 bytes, that verifies trust records. */
  readonly rootPublicKey: Uint8Array;
  /** The Ed25519 key that signs all other records. */
  readonly signingKey: KeyObject;
  /** The key that will replace it once a trust record names it; absent: there is none. */
  readonly nextSigningKey?: KeyObject | undefined;
  /** The X.509 root in DER. */
  readonly caCertificate: Uint8Array;
  /** The intermediate CAs, newest first. */
  readonly intermediates: readonly CertificateAuthority[];
  /** undefined: another control plane began the mesh. */
  readonly root: RootKeys | undefined;
}

export interface AuthorityFile {
  readonly keys: AuthorityKeys;
  /** Stores `keys` before they are used. */
  replace(keys: AuthorityKeys): void;
}

const authorityPath = (dir: string): string => join(dir, "identity", "authority.json");

/** Returns the mesh whose keys are in a data folder, or undefined if it has none yet. */
export function readMeshOf(dir: string): string | undefined {
  const mesh = readJsonIfThere(authorityPath(dir))?.mesh;
  return typeof mesh === "string" ? mesh : undefined;
}

/** Reads the keys of `dir`, or stores those that `create` makes. */
export function openAuthorityFile(dir: string, mesh: string, create: () => AuthorityKeys): AuthorityFile {
  const path = authorityPath(dir);
  makePrivateFolder(join(dir, "identity"));
  const stored = readJsonIfThere(path);
  if (stored !== undefined && stored.mesh !== mesh) {
    throw new AshlarError(
      "invalid_argument",
      `data folder ${dir} belongs to mesh ${String(stored.mesh)}, not ${mesh}: give another --data or --mesh`,
    );
  }
  let keys = stored === undefined ? create() : readKeys(stored, path);
  const replace = (next: AuthorityKeys): void => {
    writeDurably(path, `${JSON.stringify({ mesh, ...toJson(next) }, undefined, 1)}\n`);
    keys = next;
  };
  if (stored === undefined) replace(keys);
  return {
    get keys() {
      return keys;
    },
    replace,
  };
}

const toText = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

const toCaJson = (ca: CertificateAuthority) => ({
  certificate: toBase64(ca.certificate),
  privateKey: toText(ca.privateKey),
});

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const fromBase64 = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), "base64"));

function toJson(keys: AuthorityKeys) {
  const { name, rootPublicKey, signingKey, nextSigningKey, caCertificate, intermediates, root } = keys;
  const certificate = toBase64(caCertificate);
  return {
    name,
    ...(root === undefined ? { rootPublicKey: toBase64(rootPublicKey) } : { rootKey: toText(root.trustKey) }),
    signingKey: toText(signingKey),
    ...(nextSigningKey && { nextSigningKey: toText(nextSigningKey) }),
    ca: root === undefined ? { certificate } : { certificate, privateKey: toText(root.caKey) },
    intermediates: intermediates.map(toCaJson),
  };
}

function readKeys(stored: Readonly<Record<string, unknown>>, path: string): AuthorityKeys {
  try {
    const { name = "main", intermediates, rootKey } = stored;
    if (!Array.isArray(intermediates) || intermediates.length === 0) throw new Error("no intermediate CA");
    if (!isLabel(String(name))) throw new Error("no name");
    const ca = (stored.ca ?? {}) as Record<string, unknown>;
    const root =
      rootKey === undefined
        ? undefined
        : { trustKey: readKey(rootKey, "ed25519"), caKey: readKey(ca.privateKey, "ec") };
    const caCertificate = fromBase64(ca.certificate);
    readCertificate(caCertificate);
    const rootPublicKey = root === undefined ? fromBase64(stored.rootPublicKey) : publicKeyToBytes(root.trustKey);
    publicKeyFromBytes(rootPublicKey);
    return {
      name: String(name),
      rootPublicKey,
      signingKey: readKey(stored.signingKey, "ed25519"),
      nextSigningKey: stored.nextSigningKey === undefined ? undefined : readKey(stored.nextSigningKey, "ed25519"),
      caCertificate,
      intermediates: intermediates.map(readCa),
      root,
    };
  } catch (cause) {
    throw new AshlarError(
      "invalid_record",
      `${path} is damaged (${messageOf(cause)}): restore it from a backup, it holds the mesh's keys`,
      { cause },
    );
  }
}

function readKey(text: unknown, type: "ed25519" | "ec"): KeyObject {
  const key = createPrivateKey(String(text));
  if (key.asymmetricKeyType !== type) throw new Error(`a key is not ${type}`);
  return key;
}

function readCa(value: unknown): CertificateAuthority {
  const { certificate, privateKey } = (value ?? {}) as Record<string, unknown>;
  return authorityOf(fromBase64(certificate), readKey(privateKey, "ec"));
}

/** Returns a CA certificate with its key and its expiry. */
export function authorityOf(certificate: Uint8Array, privateKey: KeyObject): CertificateAuthority {
  return { certificate, privateKey, notAfterMs: readCertificate(certificate).notAfterMs };
}
