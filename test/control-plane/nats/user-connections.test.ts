import { expect, test } from "@jest/globals";
import { decode } from "@nats-io/jwt";
import { createAccount } from "@nats-io/nkeys";
import { type ConnectedUser, noteConnection } from "../../../control-plane/nats/user-connections.js";
import { proxyPermissions } from "../../../runtime/nats-permissions.js";
import { createNatsUserKey } from "../../../runtime/nats-user-keys.js";
import { mintUser } from "../../../runtime/nats-users.js";

const at = { server: "S", client: 7 };

test("a connection is noted by the proxy and the time that its JWT states", async () => {
  const account = createAccount();
  const user = createNatsUserKey().publicKey;
  const jwt = await mintUser({
    accountSeed: Buffer.from(account.getSeed()).toString(),
    accountPublicKey: account.getPublicKey(),
    userPublicKey: user,
    name: "p1",
    expiresMs: Date.now() + 60_000,
    permissions: proxyPermissions("payments", "p1"),
  });
  const users = new Map<string, ConnectedUser>();
  noteConnection(users, { user, jwt, ...at });
  expect(users.get(user)?.proxyId).toBe("p1");
  expect(users.get(user)?.connections.get("S/7")).toEqual({ ...at, issuedAt: decode(jwt).iat });
});

const withClaims = (claims: unknown): string => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;

test.each(["rubbish", "a.b.c", withClaims(null), withClaims({ name: "p1" }), withClaims({ name: 1, iat: 1 })])(
  "%j is no JWT of a connection, and nothing is noted",
  (jwt) => {
    const users = new Map<string, ConnectedUser>();
    expect(() => noteConnection(users, { user: "U", jwt, ...at })).toThrow("cannot be read");
    expect(users.size).toBe(0);
  },
);
