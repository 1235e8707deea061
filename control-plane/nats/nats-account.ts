import { readFile } from "node:fs/promises";
import { fromSeed } from "@nats-io/nkeys";
import { AshlarError, messageOf } from "../../core/errors.js";

/** The NATS account of a mesh: what its users are minted from. */
export interface NatsAccount {
  /** "A…" */
  readonly publicKey: string;
  /** The seed of the account's key or of one of its signing keys ("SA…"). */
  readonly seed: string;
}

/**
 * Reads the file of `--nats-account`: JSON with exactly two fields,
 * `{"account": "A…", "signingSeed": "SA…"}`: the account's public key and the seed of the account's own
 * key or of a signing key of it. The account needs JetStream. Fails with `invalid_argument`.
 */
export function parseNatsAccount(text: string, file: string): NatsAccount {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AshlarError("invalid_argument", `${file}: not JSON: ${messageOf(cause)}`, { cause });
  }
  const { account, signingSeed, ...rest } = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) {
    throw new AshlarError("invalid_argument", `${file}: unknown field ${JSON.stringify(unknown)}`);
  }
  if (typeof account !== "string" || !/^A[A-Z2-7]{55}$/.test(account)) {
    throw new AshlarError(
      "invalid_argument",
      `${file}: "account" must be an account's public key ("A…", 56 characters)`,
    );
  }
  if (typeof signingSeed !== "string" || !isAccountSeed(signingSeed)) {
    throw new AshlarError("invalid_argument", `${file}: "signingSeed" must be the seed of an account key ("SA…")`);
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
export async function readNatsAccount(file: string): Promise<NatsAccount> {
  try {
    return parseNatsAccount(await readFile(file, "utf8"), file);
  } catch (cause) {
    if (cause instanceof AshlarError) throw cause;
    throw new AshlarError("invalid_argument", `cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
}
