import type { Bus, BusMessage } from "../../runtime/bus.js";
import { RegistryState } from "./registry-state.js";

/**
 * Calls `take` with this proxy's own heartbeats as they come back over NATS: as long as they do, the silence of another
 * proxy is that proxy's. `nobody` knows no instance, since only the fact counts. Returns a function that ends it.
 */
export function followEcho(
  bus: Pick<Bus, "subscribe">,
  subject: string,
  take: (message: BusMessage, nobody: RegistryState) => void,
): () => void {
  const echo = bus.subscribe(subject);
  const nobody = new RegistryState();
  void (async () => {
    for await (const message of echo) take(message, nobody);
  })();
  return () => echo.close();
}
