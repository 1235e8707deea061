/**
 * Files of a control plane that joined a mesh, beside authority.json: its keys before it joins, and its place
 * afterwards.
 */
import { createPrivateKey } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import { makePrivateFolder, readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import { type NatsAccounts, parseNatsAccounts, renderNatsAccounts } from "../../runtime/nats-accounts.js";
import { generatePrivateKeyPem } from "../../runtime/tls-identity-keys.js";
import { authorityOf, openAuthorityFile } from "../identity/authority-file.js";
import { generateSigningKey } from "../identity/generate-signing-key.js";
import type { MemberKeys, MemberPlace } from "./membership-client.js";

/** What `up` needs to start again while the control plane that let it join is down. */
export interface StoredPlace {
  readonly rootHash: string;
  readonly natsServers: readonly string[];
  readonly natsAccounts: NatsAccounts;
  /** The join listeners of the mesh; one of them belongs to the control plane that began it. */
  readonly joinAddresses: readonly string[];
}

const joiningPath = (dir: string): string => join(dir, "identity", "joining.json");
const placePath = (dir: string): string => join(dir, "identity", "membership.json");

/** Returns whether a join was begun here and not finished. */
export function hasBegunToJoin(dir: string): boolean {
  return readJsonIfThere(joiningPath(dir)) !== undefined;
}

/**
 * Returns the keys to join with: those of an earlier try, so that its token is accepted again, or new ones, which are
 * on disk first.
 */
export function openMemberKeys(dir: string): MemberKeys {
  makePrivateFolder(join(dir, "identity"));
  const stored = readJsonIfThere(joiningPath(dir));
  if (stored !== undefined) {
    return { signingKey: createPrivateKey(String(stored.signingKey)), caKeyPem: String(stored.caKey) };
  }
  const signingKey = generateSigningKey();
  const caKeyPem = generatePrivateKeyPem();
  const signingPem = signingKey.export({ format: "pem", type: "pkcs8" });
  writeDurably(joiningPath(dir), JSON.stringify({ signingKey: signingPem, caKey: caKeyPem }));
  return { signingKey, caKeyPem };
}

/** Stores a place. authority.json is written last, because it makes the folder that of a control plane. */
export function storePlace(dir: string, place: MemberPlace, keys: MemberKeys, rootHash: string): StoredPlace {
  const { mesh, name, rootPublicKey, caCertificate, intermediate } = place;
  const stored = savePlace(dir, { ...place, rootHash });
  openAuthorityFile(dir, mesh, () => ({
    name,
    rootPublicKey,
    caCertificate,
    signingKey: keys.signingKey,
    root: undefined,
    intermediates: [authorityOf(intermediate, createPrivateKey(keys.caKeyPem))],
  }));
  rmSync(joiningPath(dir), { force: true });
  return stored;
}

/** Replaces the NATS servers, accounts and addresses. The file holds the seeds of the accounts and has mode 0600. */
export function savePlace(dir: string, place: StoredPlace): StoredPlace {
  const { rootHash, natsServers, natsAccounts, joinAddresses } = place;
  const stored = { rootHash, natsServers, natsAccounts: renderNatsAccounts(natsAccounts), joinAddresses };
  writeDurably(placePath(dir), JSON.stringify(stored));
  return { rootHash, natsServers, natsAccounts, joinAddresses };
}

/**
 * Returns the stored place, or undefined if this control plane began its mesh. Fails with `invalid_record` if the file
 * is damaged.
 */
export function readPlace(dir: string): StoredPlace | undefined {
  const stored = readJsonIfThere(placePath(dir));
  if (stored === undefined) return undefined;
  try {
    const { rootHash, natsServers, joinAddresses, natsAccounts: both, natsAccount: one } = stored;
    if (typeof rootHash !== "string") throw new Error("no root hash");
    // earlier versions had one account
    const natsAccounts = parseNatsAccounts(JSON.stringify(both ?? one), "natsAccounts");
    return { rootHash, natsServers: texts(natsServers), natsAccounts, joinAddresses: texts(joinAddresses) };
  } catch (cause) {
    const why = messageOf(cause);
    throw new AshlarError("invalid_record", `${placePath(dir)} is damaged (${why}): restore it from a backup`, {
      cause,
    });
  }
}

function texts(value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string")) throw new Error("a list is wanted");
  return value;
}
