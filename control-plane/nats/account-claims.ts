/** The JWTs of the accounts of a private NATS server: who may do what, signed by its operator. */
import { encodeAccount, encodeOperator } from "@nats-io/jwt";
import { type AccountLink, meshExports, proxyExports } from "../../runtime/nats-account-links.js";
import { signerOf } from "../../runtime/nats-signer.js";
import type { NatsKeys } from "./nats-keys.js";

/** An account as a server's resolver has it. */
export interface AccountClaims {
  readonly account: string;
  readonly jwt: string;
}

/** What a server's configuration says about keys; holds no secret. */
export interface NatsTrust {
  readonly operatorJwt: string;
  readonly systemAccount: string;
  readonly accounts: readonly AccountClaims[];
}

/** NATS users that are revoked: what was signed for a key up to then, Unix seconds, is refused. */
export type RevokedUserTimes = Readonly<Record<string, number>>;

const noJetStream = { mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 };
const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
/** Nobody is a leaf node: it would be a connection of many. */
const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: 0 };

/** The `exports` and `imports` of an account's JWT. There are no other accounts on a private server: nothing is private. */
const linksOf = (exported: readonly AccountLink[], imported: readonly AccountLink[], from: string) => ({
  exports: [...exported],
  imports: imported.map((link) => ({ ...link, account: from })),
});

/** The JWTs that a server with these keys trusts. */
export async function buildNatsTrust(keys: NatsKeys, revoked: RevokedUserTimes): Promise<NatsTrust> {
  const operator = signerOf(keys.operatorSeed);
  const [mesh, system] = [signerOf(keys.meshAccountSeed), signerOf(keys.systemAccountSeed)];
  const proxies = signerOf(keys.accountSeed).getPublicKey();
  const links = linksOf(meshExports, proxyExports, proxies);
  const meshClaims = { limits: { ...limits, ...jetStream }, ...links };
  const systemClaims = { limits: { ...limits, ...noJetStream } };
  const encode = async (name: string, account: typeof mesh, claims: object): Promise<AccountClaims> => ({
    account: account.getPublicKey(),
    jwt: await encodeAccount(name, account, claims, { signer: operator }),
  });
  return {
    operatorJwt: await encodeOperator("ashlar", operator, { system_account: system.getPublicKey() } as object),
    systemAccount: system.getPublicKey(),
    accounts: [
      await encode("mesh", mesh, meshClaims),
      await buildProxiesClaims(keys, revoked),
      await encode("system", system, systemClaims),
    ],
  };
}

/** The JWT of the proxies' account alone. */
export async function buildProxiesClaims(keys: NatsKeys, revoked: RevokedUserTimes): Promise<AccountClaims> {
  const proxies = signerOf(keys.accountSeed);
  const from = signerOf(keys.meshAccountSeed).getPublicKey();
  const claims = {
    limits: { ...limits, ...noJetStream },
    ...linksOf(proxyExports, meshExports, from),
    ...(Object.keys(revoked).length > 0 && { revocations: { ...revoked } }),
  };
  const jwt = await encodeAccount("proxies", proxies, claims as object, { signer: signerOf(keys.operatorSeed) });
  return { account: proxies.getPublicKey(), jwt };
}
