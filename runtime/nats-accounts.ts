import { readFile } from "node:fs/promises";
import { fromSeed } from "@nats-io/nkeys";
import { AshlarError } from "../core/errors.js";
import { fileReason } from "./file-reason.js";

/** A NATS account, with the key that its users are signed with. */
export interface NatsAccount {
  /** "A…" */
  readonly publicKey: string;
  /** The seed of the account's key or of one of its signing keys ("SA…"). */
  readonly seed: string;
}

/** The NATS accounts of a mesh. */
export interface NatsAccounts {
  /** The account with JetStream, whose users are control planes. */
  readonly mesh: NatsAccount;
  /** The account without JetStream, whose users are proxies. It equals `mesh` if there is one account for all. */
  readonly proxies: NatsAccount;
}

/** Returns whether proxies share the account that has JetStream. NATS then does not keep them from deleting streams. */
export function isShared({ mesh, proxies }: NatsAccounts): boolean {
  return mesh.publicKey === proxies.publicKey;
}

/**
 * Parses the file of `--nats-account`, JSON: `{"mesh": ACCOUNT, "proxies": ACCOUNT}`, where ACCOUNT is `{"account":
 * "A…", "signingSeed": "SA…"}`: the account's public key, and the seed of its own key or of one of its signing keys. A
 * single ACCOUNT stands for both, as in earlier versions. Fails with `invalid_argument`.
 */
export function parseNatsAccounts(text: string, file: string): NatsAccounts {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AshlarError("invalid_argument", `${file}: ${fileReason(cause)}`, { cause });
  }
  const fields = fieldsOf(value);
  if (fields.mesh === undefined && fields.proxies === undefined) {
    const only = parseAccount(value, file, "");
    return { mesh: only, proxies: only };
  }
  refuseUnknown(fields, ["mesh", "proxies"], file);
  return {
    mesh: parseAccount(fields.mesh, file, "mesh."),
    proxies: parseAccount(fields.proxies, file, "proxies."),
  };
}

/** Renders `accounts` as the file that `parseNatsAccounts` reads. */
export function renderNatsAccounts({ mesh, proxies }: NatsAccounts): object {
  const render = ({ publicKey, seed }: NatsAccount) => ({ account: publicKey, signingSeed: seed });
  return { mesh: render(mesh), proxies: render(proxies) };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
}

function refuseUnknown(fields: Readonly<Record<string, unknown>>, known: readonly string[], file: string): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new AshlarError("invalid_argument", `${file}: unknown field ${JSON.stringify(unknown)}`);
}

function parseAccount(value: unknown, file: string, where: string): NatsAccount {
  const fields = fieldsOf(value);
  refuseUnknown(fields, ["account", "signingSeed"], file);
  const { account, signingSeed } = fields;
  if (typeof account !== "string" || !/^A[A-Z2-7]{55}$/.test(account)) {
    throw new AshlarError(
      "invalid_argument",
      `${file}: "${where}account" must be an account's public key ("A…", 56 characters)`,
    );
  }
  if (typeof signingSeed !== "string" || !isAccountSeed(signingSeed)) {
    throw new AshlarError(
      "invalid_argument",
      `${file}: "${where}signingSeed" must be the seed of an account key ("SA…")`,
    );
  }
  return { publicKey: account, seed: signingSeed };
}

function isAccountSeed(text: string): boolean {
  if (!text.startsWith("SA")) return false;
  try {
    fromSeed(Buffer.from(text, "ascii"));
    return true;
  } catch {
    return false;
  }
}

/** Reads and parses the file of `--nats-account`. Fails with `invalid_argument`. */
export async function readNatsAccounts(file: string): Promise<NatsAccounts> {
  try {
    return parseNatsAccounts(await readFile(file, "utf8"), file);
  } catch (cause) {
    if (cause instanceof AshlarError) throw cause;
    throw new AshlarError("invalid_argument", `cannot read ${file}: ${fileReason(cause)}`, { cause });
  }
}
