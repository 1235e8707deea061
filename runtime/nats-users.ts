/** NATS users in operator mode: a JWT for an nkey, signed with an account's key, which contains the permissions. */
import { encodeUser } from "@nats-io/jwt";
import { fromPublic } from "@nats-io/nkeys";
import { AshlarError, messageOf } from "../core/errors.js";
import type { NatsPermissions, NatsUserLimits } from "./nats-permissions.js";
import { signerOf } from "./nats-signer.js";

export interface MintUserOptions {
  /** The seed of the account's own key or of one of its signing keys ("SA…"). */
  readonly accountSeed: string;
  /** The public key of the account ("A…"). */
  readonly accountPublicKey: string;
  readonly userPublicKey: string;
  /** The name of the user in the server's logs. */
  readonly name: string;
  /** When the server ends the connection, in Unix milliseconds; the same as the expiry of the certificate. */
  readonly expiresMs: number;
  readonly permissions: NatsPermissions;
  /** The user's limits; without them the server's own limits apply. */
  readonly limits?: NatsUserLimits;
}

/** Returns the JWT of a user with exactly these permissions. Fails with `invalid_argument` if a key is malformed. */
export async function mintUser(options: MintUserOptions): Promise<string> {
  const { publish, subscribe } = options.permissions;
  const { limits } = options;
  if (publish.length === 0 || subscribe.length === 0) {
    throw new AshlarError("internal", "a NATS user without stated permissions would be allowed everything");
  }
  try {
    const signer = signerOf(options.accountSeed);
    const own = signer.getPublicKey() === options.accountPublicKey;
    const account = own ? signer : fromPublic(options.accountPublicKey);
    const user = {
      pub: { allow: [...publish] },
      sub: { allow: [...subscribe] },
      ...(limits && { subs: limits.subscriptions, payload: limits.payloadBytes, data: -1 }),
    };
    return await encodeUser(options.name, fromPublic(options.userPublicKey), account, user, {
      exp: Math.floor(options.expiresMs / 1000),
      ...(own ? {} : { signer }),
    });
  } catch (cause) {
    throw new AshlarError("invalid_argument", `cannot mint a NATS user: ${messageOf(cause)}`, { cause });
  }
}
