/** NATS users of operator mode: a JWT that an account's key signs for an nkey, with permissions inside. */
import { encodeUser } from "@nats-io/jwt";
import { fromPublic } from "@nats-io/nkeys";
import { AshlarError, messageOf } from "../core/errors.js";
import type { NatsPermissions, NatsUserLimits } from "./nats-permissions.js";
import { signerOf } from "./nats-signer.js";

export interface MintUserOptions {
  /** The seed of the account's own key or of one of its signing keys ("SA…"). */
  readonly accountSeed: string;
  /** The account ("A…"). */
  readonly accountPublicKey: string;
  readonly userPublicKey: string;
  /** For people, in the server's logs. */
  readonly name: string;
  /** Unix time in milliseconds at which the server ends the connection: that of the certificate. */
  readonly expiresMs: number;
  readonly permissions: NatsPermissions;
  /** Without them the server's own limits hold. */
  readonly limits?: NatsUserLimits;
}

/** The JWT of a user with exactly these permissions. Fails with `invalid_argument` if a key is not what it should be. */
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
