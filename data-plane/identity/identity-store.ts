/** Stores the proxy's keys (DIR/identity/keys.json) and its identity (identity.json) with mode 0600. */
import { createPrivateKey } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";
import { makePrivateFolder, readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import { createNatsUserKey, isNatsUserKey } from "../../runtime/nats-user-keys.js";
import { generatePrivateKeyPem } from "../../runtime/tls-identity-keys.js";
import type { IdentityParts, ProxyKeys } from "./identity-check.js";

const identityName = "identity.json";

export interface IdentityStore {
  readonly keys: ProxyKeys;
  /** Returns the identity that was saved last, unverified; undefined: there is none. */
  load(): IdentityParts | undefined;
  /** Saves an identity, which is on disk when this returns. */
  save(parts: IdentityParts): void;
}

/** Returns whether an identity was saved in `dir`; makes nothing. */
export function isIdentityStored(dir: string): boolean {
  return existsSync(join(dir, "identity", identityName));
}

/**
 * Opens the store. Creates keys if there are none; they are on disk when this returns. Fails with `invalid_record` on
 * damaged files.
 */
export function openIdentityStore(dir: string): IdentityStore {
  const folder = join(dir, "identity");
  makePrivateFolder(folder);
  const keysPath = join(folder, "keys.json");
  const path = join(folder, identityName);
  const stored = readJsonIfThere(keysPath);
  if (stored === undefined && existsSync(path))
    throw new AshlarError(
      "invalid_record",
      `${keysPath} is missing beside identity.json, whose keys it holds: put it back, or remove ${folder} and join again with a new token`,
    );
  const keys = stored === undefined ? createKeys() : readKeys(stored, keysPath);
  if (stored === undefined) writeDurably(keysPath, `${JSON.stringify(keys, undefined, 1)}\n`);
  return {
    keys,
    load: () => {
      const value = readJsonIfThere(path);
      return value === undefined ? undefined : readParts(value, path);
    },
    save: (parts) => writeDurably(path, `${JSON.stringify(toJson(parts), undefined, 1)}\n`),
  };
}

function createKeys(): ProxyKeys {
  const { publicKey, seed } = createNatsUserKey();
  return { privateKeyPem: generatePrivateKeyPem(), natsUser: publicKey, natsSeed: seed };
}

function damaged(path: string): AshlarError {
  return new AshlarError("invalid_record", `${path} is damaged: remove the folder and join again with a new token`);
}

function readKeys({ privateKeyPem, natsUser, natsSeed }: Readonly<Record<string, unknown>>, path: string): ProxyKeys {
  if (typeof privateKeyPem !== "string" || typeof natsUser !== "string" || typeof natsSeed !== "string") {
    throw damaged(path);
  }
  try {
    if (createPrivateKey(privateKeyPem).asymmetricKeyDetails?.namedCurve !== "prime256v1") throw damaged(path);
  } catch {
    throw damaged(path);
  }
  if (!isNatsUserKey(natsUser)) throw damaged(path);
  return { privateKeyPem, natsUser, natsSeed };
}

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function toJson(parts: IdentityParts): Readonly<Record<string, unknown>> {
  return {
    ...parts,
    certificateChain: parts.certificateChain.map(toText),
    rootPublicKey: toText(parts.rootPublicKey),
    trust: toText(parts.trust),
    activation: toText(parts.activation),
    revision: toText(parts.revision),
    freshness: toText(parts.freshness),
  };
}

function readParts(value: Readonly<Record<string, unknown>>, path: string): IdentityParts {
  const text = (field: keyof IdentityParts): string => {
    const found = value[field];
    if (typeof found !== "string") throw damaged(path);
    return found;
  };
  const texts = (field: keyof IdentityParts): readonly string[] => {
    const found = value[field];
    if (!Array.isArray(found) || !found.every((one) => typeof one === "string")) throw damaged(path);
    return found;
  };
  const bytes = (encoded: string): Uint8Array => new Uint8Array(Buffer.from(encoded, "base64"));
  return {
    mesh: text("mesh"),
    proxyId: text("proxyId"),
    service: text("service"),
    version: text("version"),
    certificateChain: texts("certificateChain").map(bytes),
    natsServers: texts("natsServers"),
    natsJwt: text("natsJwt"),
    natsCaPem: text("natsCaPem"),
    unsignedUntilMs: typeof value.unsignedUntilMs === "number" ? value.unsignedUntilMs : undefined,
    rootPublicKey: bytes(text("rootPublicKey")),
    trust: bytes(text("trust")),
    activation: bytes(text("activation")),
    revision: bytes(text("revision")),
    freshness: bytes(text("freshness")),
  };
}
