import { randomBytes } from "node:crypto";
import { expect, test } from "@jest/globals";
import { openNatsAccess } from "../../../control-plane/nats/nats-access.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { startTestNats } from "../../support/nats.js";
import { untilTrue } from "../../support/until.js";

test("a control plane that knew one account goes on with the mesh's own while it runs, subscriptions included", async () => {
  const nats = await startTestNats();
  const accounts = nats.servers[0]?.accounts;
  if (accounts === undefined) throw new Error("no server");
  const former = { mesh: accounts.proxies, proxies: accounts.proxies };
  const options = { servers: nats.urls, isCluster: true, clock: systemClock, log: silentLogger, random: randomBytes };
  const access = await openNatsAccess({ ...options, accounts: former });
  try {
    const heard: string[] = [];
    const subscription = access.bus.subscribe("ashlar.read.freshness");
    void (async () => {
      for await (const { data } of subscription) heard.push(Buffer.from(data).toString());
    })();
    await access.bus.whenConnected();
    expect(access.isShared()).toBe(true);
    await expect(access.bus.streamInfo("ASHLAR_TRUST")).rejects.toBeDefined(); // that account has no JetStream
    await access.useAccounts(accounts);
    await untilTrue(async () => (await access.bus.streamInfo("ASHLAR_TRUST")) !== undefined);
    expect(access.isShared()).toBe(false);
    await untilTrue(() => {
      access.bus.publish("ashlar.read.freshness", Buffer.from("fresh"));
      return heard.includes("fresh");
    });
  } finally {
    await access.close();
    await nats.stop();
  }
});
