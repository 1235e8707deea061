/** The keys of a private NATS server: an operator, the mesh's account and a system account. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeAccount, encodeOperator } from "@nats-io/jwt";
import { createAccount, createOperator, fromSeed, type KeyPair } from "@nats-io/nkeys";
import { AshlarError, messageOf } from "../../core/errors.js";
import { replaceDurably } from "../../runtime/durable-file.js";

export interface NatsKeys {
  readonly operatorSeed: string;
  readonly accountSeed: string;
  readonly systemAccountSeed: string;
}

/** What a server's configuration says about keys; holds no secret. */
export interface NatsTrust {
  readonly operatorJwt: string;
  readonly account: string;
  readonly accountJwt: string;
  readonly systemAccount: string;
  readonly systemAccountJwt: string;
}

const seedOf = (pair: KeyPair): string => Buffer.from(pair.getSeed()).toString("ascii");

export function createNatsKeys(): NatsKeys {
  return {
    operatorSeed: seedOf(createOperator()),
    accountSeed: seedOf(createAccount()),
    systemAccountSeed: seedOf(createAccount()),
  };
}

/** The keys in DIR/keys.json, made (mode 0600) if there are none. Fails with `invalid_argument` if the file is damaged. */
export async function openNatsKeys(dir: string): Promise<NatsKeys> {
  const file = join(dir, "keys.json");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new AshlarError("unavailable", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  });
  if (text !== undefined) return parseKeys(text, file);
  const keys = createNatsKeys();
  await replaceDurably(file, `${JSON.stringify(keys, undefined, 2)}\n`);
  return keys;
}

function parseKeys(text: string, file: string): NatsKeys {
  try {
    const { operatorSeed, accountSeed, systemAccountSeed } = JSON.parse(text) as Record<string, string>;
    const read = (seed: string | undefined, prefix: string): string => {
      if (seed === undefined || !seed.startsWith(prefix)) throw new Error(`no ${prefix}… seed`);
      return seedOf(fromSeed(Buffer.from(seed, "ascii")));
    };
    return {
      operatorSeed: read(operatorSeed, "SO"),
      accountSeed: read(accountSeed, "SA"),
      systemAccountSeed: read(systemAccountSeed, "SA"),
    };
  } catch (cause) {
    throw new AshlarError("invalid_argument", `${file} is damaged: ${messageOf(cause)}`, { cause });
  }
}

const unlimited = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
  mem_storage: -1,
  disk_storage: -1,
  streams: -1,
  consumer: -1,
};

/** The JWTs that a server with these keys trusts. */
export async function buildNatsTrust(keys: NatsKeys): Promise<NatsTrust> {
  const operator = fromSeed(Buffer.from(keys.operatorSeed));
  const account = fromSeed(Buffer.from(keys.accountSeed));
  const system = fromSeed(Buffer.from(keys.systemAccountSeed));
  const systemLimits = { ...unlimited, mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 };
  return {
    operatorJwt: await encodeOperator("ashlar", operator, { system_account: system.getPublicKey() } as object),
    account: account.getPublicKey(),
    accountJwt: await encodeAccount("mesh", account, { limits: unlimited } as object, { signer: operator }),
    systemAccount: system.getPublicKey(),
    systemAccountJwt: await encodeAccount("system", system, { limits: systemLimits } as object, { signer: operator }),
  };
}
