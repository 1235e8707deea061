import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { openLedger } from "../../control-plane/store/jetstream-ledger.js";
import type { Ledger } from "../../control-plane/store/ledger.js";
import { silentLogger } from "../../runtime/log.js";
import { startTestNats, type TestNats } from "./nats.js";
import { createTestKey, type TestKey, testMesh } from "./records.js";

let opened = 0;

/** Opens a ledger with a connection and own copy of its own (or on `dir`). */
export async function openTestLedger(nats: TestNats, root: TestKey, dir?: string): Promise<Ledger> {
  opened += 1;
  const bus = await nats.connect(await nats.controlPlaneUser(`cp${opened}`));
  const own = dir ?? (await mkdtemp(join(nats.dir, "copy-")));
  const ledger = await openLedger({ bus, dir: own, mesh: testMesh, trustRoot: root.publicKey, log: silentLogger });
  return {
    ...ledger,
    async close() {
      await ledger.close();
      await bus.close();
    },
  };
}

/** Starts what the ledger's contract tests need, on real servers. */
export async function startLedgerFixture(options: { cluster: boolean; program?: string }) {
  const nats = await startTestNats(options);
  const root = createTestKey();
  return { root, nats, open: () => openTestLedger(nats, root), close: () => nats.stop() };
}
