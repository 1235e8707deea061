import { MemoryBroker } from "../../runtime/memory-bus.js";
import { bootstrapPermissions, controlPlanePermissions, proxyPermissions } from "../../runtime/nats-permissions.js";
import { describeBus } from "./bus.contract.js";

describeBus("a bus in memory", async () => {
  const broker = new MemoryBroker();
  return {
    bootstrap: broker.connect(bootstrapPermissions("_INBOX_b")),
    plane: broker.connect(controlPlanePermissions("_INBOX_c")),
    proxy: broker.connect(proxyPermissions("payments", "p1")),
    lose: async () => broker.setUp(false),
    restore: async () => broker.setUp(true),
    close: async () => {},
  };
});
