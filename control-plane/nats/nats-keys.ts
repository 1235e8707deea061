/** The keys of a private NATS server: an operator, the mesh's account, the proxies' account and a system account. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createAccount, createOperator, fromSeed, type KeyPair } from "@nats-io/nkeys";
import { AshlarError, messageOf } from "../../core/errors.js";
import { replaceDurably } from "../../runtime/durable-file.js";
import type { NatsAccount } from "../../runtime/nats-accounts.js";
import { signerOf } from "../../runtime/nats-signer.js";

export interface NatsKeys {
  readonly operatorSeed: string;
  /** The seed of the account with JetStream, whose users are control planes. */
  readonly meshAccountSeed: string;
  /**
   * The seed of the account whose users are proxies. In folders of earlier versions it was the only account. It remains
   * that of proxies, so that their credentials are good for nothing else from the next start on.
   */
  readonly accountSeed: string;
  readonly systemAccountSeed: string;
}

const seedOf = (pair: KeyPair): string => Buffer.from(pair.getSeed()).toString("ascii");

export function createNatsKeys(): NatsKeys {
  return {
    operatorSeed: seedOf(createOperator()),
    meshAccountSeed: seedOf(createAccount()),
    accountSeed: seedOf(createAccount()),
    systemAccountSeed: seedOf(createAccount()),
  };
}

/** Returns the account of a seed. */
export function accountOf(seed: string): NatsAccount {
  return { publicKey: signerOf(seed).getPublicKey(), seed };
}

/**
 * Reads the keys in DIR/keys.json, or creates them (mode 0600). A file of an earlier version gets the key that it
 * lacks. Fails with `invalid_argument` if the file is damaged.
 */
export async function openNatsKeys(dir: string): Promise<NatsKeys> {
  const file = join(dir, "keys.json");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new AshlarError("unavailable", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  });
  const stored = text === undefined ? undefined : parseKeys(text, file);
  if (stored?.meshAccountSeed !== undefined) return { ...stored, meshAccountSeed: stored.meshAccountSeed };
  const keys = { ...createNatsKeys(), ...stored };
  const complete = { ...keys, meshAccountSeed: stored?.meshAccountSeed ?? createNatsKeys().meshAccountSeed };
  await replaceDurably(file, `${JSON.stringify(complete, undefined, 2)}\n`);
  return complete;
}

type StoredKeys = Omit<NatsKeys, "meshAccountSeed"> & { readonly meshAccountSeed: string | undefined };

function parseKeys(text: string, file: string): StoredKeys {
  try {
    const { operatorSeed, meshAccountSeed, accountSeed, systemAccountSeed } = JSON.parse(text) as Record<
      string,
      string
    >;
    const read = (seed: string | undefined, prefix: string): string => {
      if (seed === undefined || !seed.startsWith(prefix)) throw new Error(`no ${prefix}… seed`);
      return seedOf(fromSeed(Buffer.from(seed, "ascii")));
    };
    return {
      operatorSeed: read(operatorSeed, "SO"),
      meshAccountSeed: meshAccountSeed === undefined ? undefined : read(meshAccountSeed, "SA"),
      accountSeed: read(accountSeed, "SA"),
      systemAccountSeed: read(systemAccountSeed, "SA"),
    };
  } catch (cause) {
    throw new AshlarError("invalid_argument", `${file} is damaged: ${messageOf(cause)}`, { cause });
  }
}
