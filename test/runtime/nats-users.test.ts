import { describe, expect, test } from "@jest/globals";
import { decode, type User } from "@nats-io/jwt";
import { createAccount } from "@nats-io/nkeys";
import { bootstrapPermissions, controlPlanePermissions, proxyPermissions } from "../../runtime/nats-permissions.js";
import { createNatsUserKey, isNatsUserKey } from "../../runtime/nats-user-keys.js";
import { mintUser } from "../../runtime/nats-users.js";

const account = createAccount();
const signer = createAccount();
const seedOf = (pair: typeof account): string => Buffer.from(pair.getSeed()).toString();
const user = createNatsUserKey();
const options = {
  accountSeed: seedOf(account),
  accountPublicKey: account.getPublicKey(),
  userPublicKey: user.publicKey,
  name: "p1",
  expiresMs: 2_000_000_000_999,
  permissions: proxyPermissions("payments", "p1"),
};

describe("a minted user", () => {
  test("has exactly the permissions that were asked for, and expires", async () => {
    const claims = decode<User>(await mintUser(options));
    expect(claims.sub).toBe(user.publicKey);
    expect(claims.iss).toBe(account.getPublicKey());
    expect(claims.exp).toBe(2_000_000_000);
    expect(claims.nats.pub?.allow).toEqual(options.permissions.publish);
    expect(claims.nats.sub?.allow).toEqual(options.permissions.subscribe);
  });
  test("by a signing key names the account", async () => {
    const claims = decode<User>(await mintUser({ ...options, accountSeed: seedOf(signer) }));
    expect(claims.iss).toBe(signer.getPublicKey());
    expect(claims.nats).toMatchObject({ issuer_account: account.getPublicKey() });
  });
  test("without stated permissions is never made: to NATS that means everything", async () => {
    for (const permissions of [
      { publish: [], subscribe: ["x"] },
      { publish: ["x"], subscribe: [] },
    ]) {
      await expect(mintUser({ ...options, permissions })).rejects.toMatchObject({ code: "internal" });
    }
  });
  test("for what is no user's key is refused", async () => {
    for (const wrong of [account.getPublicKey(), "U", user.seed]) {
      await expect(mintUser({ ...options, userPublicKey: wrong })).rejects.toMatchObject({ code: "invalid_argument" });
      expect(isNatsUserKey(wrong)).toBe(false);
    }
    expect(isNatsUserKey(user.publicKey)).toBe(true);
  });
});

test("I9: no role may manage messages or consumers, nor has a wildcard over JetStream's API", () => {
  const daily = [controlPlanePermissions("_INBOX_c"), proxyPermissions("s", "p")];
  for (const { publish } of [...daily, bootstrapPermissions("_INBOX_b")]) {
    for (const subject of publish.filter((one) => one !== "$JS.API.STREAM.DELETE.ASHLAR_ENDPOINTS")) {
      expect(subject).not.toMatch(/CONSUMER|PURGE|DELETE|^\$JS\.>|^\$JS\.API\.>|^>$|^\*/);
    }
  }
  for (const { publish } of daily)
    expect(publish.filter((item) => /STREAM\.(CREATE|UPDATE|DELETE)/.test(item))).toEqual([]);
});
