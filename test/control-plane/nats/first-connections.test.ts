import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { Cleanup } from "../../../control-plane/cleanup.js";
import { openNats } from "../../../control-plane/nats/open-nats.js";
import { proxyInbox } from "../../../core/wire/subjects.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { connectNats } from "../../../runtime/nats.js";
import { createNatsUserKey } from "../../../runtime/nats-user-keys.js";

// Where two connected at once, one of eight new servers gave proxies no answer for as long as it ran.
test("a proxy of a new server is answered, each of ten times", async () => {
  for (let time = 0; time < 10; time += 1) {
    const [dataDir, cleanup] = [await mkdtemp(join(tmpdir(), "ash-first-")), new Cleanup()];
    const own = { nats: { kind: "own" }, place: undefined } as const;
    const decisions = { decisionBytes: undefined, decisionAgeMs: undefined };
    const base = { clock: systemClock, log: silentLogger, cleanup, signal: AbortSignal.timeout(30_000) };
    try {
      const { access, guard } = await openNats({ ...own, ...base, decisions, dataDir });
      expect(guard).toBeDefined();
      const { publicKey, seed } = createNatsUserKey();
      const jwt = await access.mintProxyUser(publicKey, "echo", "p1", Date.now() + 3_600_000);
      const bus = connectNats({
        ...{ servers: access.servers, jwt: () => jwt, seed: () => seed, inboxPrefix: proxyInbox("p1") },
        ...{ name: "p1", log: silentLogger },
      });
      cleanup.add(() => bus.close());
      await bus.whenConnected(base.signal);
      expect(await bus.directGet("ASHLAR_REVISIONS", { sequence: 1 })).toBeUndefined();
    } finally {
      await cleanup.run(silentLogger);
      await rm(dataDir, { recursive: true, force: true });
    }
  }
}, 120_000);
