import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { followProblems } from "../../../control-plane/fleet/follow-fleet.js";
import { createNatsKeys } from "../../../control-plane/nats/nats-keys.js";
import { type Logger, silentLogger } from "../../../runtime/log.js";
import { connectNats } from "../../../runtime/nats.js";
import { createNatsUserKey } from "../../../runtime/nats-user-keys.js";
import { mintUser } from "../../../runtime/nats-users.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { untilTrue } from "../../support/until.js";

let nats: TestNats;
beforeAll(async () => {
  nats = await startTestNats();
}, 60_000);
afterAll(() => nats.stop());

test("NATS that refuses our credentials is said as that, and forgotten once it takes them", async () => {
  const said: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (message) => void said.push(`error ${message}`),
    warn: (message) => void said.push(`warn ${message}`),
  };
  const user = createNatsUserKey();
  const mint = (accountSeed: string, accountPublicKey: string) =>
    mintUser({
      accountSeed,
      accountPublicKey,
      userPublicKey: user.publicKey,
      name: "u",
      expiresMs: Date.now() + 600_000,
      permissions: { publish: ["x"], subscribe: ["_INBOX_u.>"] },
    });
  const [server] = nats.servers;
  const account = server?.accounts.mesh ?? { publicKey: "", seed: "" };
  let jwt = await mint(createNatsKeys().accountSeed, account.publicKey); // signed by a key that the account does not have
  const bus = connectNats({
    servers: nats.urls,
    jwt: () => jwt,
    seed: () => user.seed,
    inboxPrefix: "_INBOX_u",
    name: "u",
    log,
  });
  try {
    await untilTrue(() => bus.refusal !== undefined);
    expect(bus.connected).toBe(false);
    expect(said).toEqual([expect.stringMatching(/^error NATS refuses our credentials/)]);
    expect(followProblems(new FleetState(), bus).map(({ message }) => message)).toEqual([
      expect.stringMatching(/^NATS refuses our credentials \(.+\): nothing can be published/),
    ]);
    await expect(bus.streamInfo("X")).rejects.toThrow(/NATS refuses our credentials/);
    jwt = await mint(account.seed, account.publicKey);
    await bus.whenConnected(AbortSignal.timeout(20_000));
    expect(bus.refusal).toBeUndefined();
  } finally {
    await bus.close();
  }
});
