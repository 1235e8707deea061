import { createMemoryStore, openMemoryLedger } from "../support/memory-ledger.js";
import { createTestKey, testMesh } from "../support/records.js";
import { describeLedger } from "./ledger.contract.js";

describeLedger(
  "a ledger in memory",
  async () => {
    const root = createTestKey();
    const store = createMemoryStore();
    return {
      root,
      open: async () => openMemoryLedger({ mesh: testMesh, trustRoot: root.publicKey, store }),
      close: async () => {},
    };
  },
  { rounds: 10 },
);
