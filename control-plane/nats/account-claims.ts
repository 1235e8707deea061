/** The JWTs of the accounts of a private NATS server, which state who may do what and are signed by its operator. */
import { encodeAccount, encodeOperator } from "@nats-io/jwt";
import { type AccountLink, meshExports, proxyExports } from "../../runtime/nats-account-links.js";
import { signerOf } from "../../runtime/nats-signer.js";
import type { NatsKeys } from "./nats-keys.js";

/** An account in the form of a server's resolver. */
export interface AccountClaims {
  readonly account: string;
  readonly jwt: string;
}

/** The parts of a server's configuration about keys; they contain no secret. */
export interface NatsTrust {
  readonly operatorJwt: string;
  readonly systemAccount: string;
  readonly accounts: readonly AccountClaims[];
}

/** Revoked NATS users: JWTs that were issued for a key up to this time, in Unix seconds, are refused. */
export type RevokedUserTimes = Readonly<Record<string, number>>;

const noJetStream = { mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 };
const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
/** No user may be a leaf node, because that would be a connection of many. */
const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: 0 };

/**
 * Returns the `exports` and `imports` of an account's JWT. A private server has no other accounts, so nothing needs to
 * be private.
 */
const linksOf = (exported: readonly AccountLink[], imported: readonly AccountLink[], from: string) => ({
  exports: [...exported],
  imports: imported.map((link) => ({ ...link, account: from })),
});

/** Returns the JWTs that a server with these keys trusts. */
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

/** Returns the JWT of the proxies' account alone. */
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
