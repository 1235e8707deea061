/** A control plane's access to journals on a test's NATS servers. */
import type { NatsAccess } from "../../control-plane/nats/nats-access.js";
import type { Bus } from "../../runtime/bus.js";
import type { TestNats } from "./nats.js";

export function journalAccess(nats: TestNats, bus: Bus): Pick<NatsAccess, "bus" | "once"> {
  let count = 0;
  return {
    bus,
    async once(permissions, _signal, work) {
      count += 1;
      const inbox = `_INBOX_once${count}`;
      const own = await nats.connect(await nats.user(permissions(inbox), inbox));
      try {
        await work(own);
      } finally {
        await own.close();
      }
    },
  };
}
