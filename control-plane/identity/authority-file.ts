/** DIR/identity/authority.json: the secret keys of a mesh, read strictly and written as a whole. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import { makePrivateFolder, readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import { readCertificate } from "../../runtime/tls-identity-der.js";

export interface CertificateAuthority {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
  readonly notAfterMs: number;
}

export interface AuthorityKeys {
  /** Ed25519: signs trust records. */
  readonly rootKey: KeyObject;
  /** Ed25519: signs the other records. */
  readonly signingKey: KeyObject;
  readonly ca: CertificateAuthority;
  /** Newest first. */
  readonly intermediates: readonly CertificateAuthority[];
}

export interface AuthorityFile {
  readonly keys: AuthorityKeys;
  /** Stores `keys` before they are used. */
  replace(keys: AuthorityKeys): void;
}

/** Reads the keys of `dir`, or stores those that `create` makes. */
export function openAuthorityFile(dir: string, mesh: string, create: () => AuthorityKeys): AuthorityFile {
  const folder = join(dir, "identity");
  makePrivateFolder(folder);
  const path = join(folder, "authority.json");
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

/** The mesh that a data folder belongs to; undefined: none yet. */
export function readMeshOf(dir: string): string | undefined {
  const mesh = readJsonIfThere(join(dir, "identity", "authority.json"))?.mesh;
  return typeof mesh === "string" ? mesh : undefined;
}

const toText = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

const toCaJson = (ca: CertificateAuthority) => ({
  certificate: Buffer.from(ca.certificate).toString("base64"),
  privateKey: toText(ca.privateKey),
});

function toJson(keys: AuthorityKeys) {
  return {
    rootKey: toText(keys.rootKey),
    signingKey: toText(keys.signingKey),
    ca: toCaJson(keys.ca),
    intermediates: keys.intermediates.map(toCaJson),
  };
}

function readKeys(stored: Readonly<Record<string, unknown>>, path: string): AuthorityKeys {
  try {
    const { intermediates } = stored;
    if (!Array.isArray(intermediates) || intermediates.length === 0) throw new Error("no intermediate CA");
    return {
      rootKey: readKey(stored.rootKey, "ed25519"),
      signingKey: readKey(stored.signingKey, "ed25519"),
      ca: readCa(stored.ca),
      intermediates: intermediates.map(readCa),
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
  const der = new Uint8Array(Buffer.from(String(certificate), "base64"));
  return { certificate: der, privateKey: readKey(privateKey, "ec"), notAfterMs: readCertificate(der).notAfterMs };
}
