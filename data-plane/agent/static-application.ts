import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { AppRegistration } from "../ports.js";
import type { AppRegistry, RegistryEntry } from "./app-registry.js";
import { probeApplication } from "./probe-application.js";

export interface StaticApplicationDeps {
  readonly registry: AppRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly probe?: typeof probeApplication;
}

const probeEveryMs = 1000;

/**
 * Keeps the application of `--app` registered while its socket accepts connections. The socket is tried every second;
 * the application is taken out at once when it refuses, and put back when it accepts. A blocked process, which accepts
 * nothing, stays registered. Resolves when `signal` aborts.
 */
export async function runStaticApplication(
  deps: StaticApplicationDeps,
  app: AppRegistration,
  signal: AbortSignal,
): Promise<void> {
  const { registry, clock, log, probe = probeApplication } = deps;
  let entry: RegistryEntry | undefined;
  while (!signal.aborted) {
    const probed = await probe(app.target);
    if (signal.aborted) break;
    if (probed.kind === "accepts" && entry === undefined) {
      log.info("the application is there", { ...app.target });
      entry = registry.register(app, () => {
        entry = undefined;
        log.warn("the application's socket refused a call: it is out of routing", { ...app.target });
      });
    } else if (probed.kind === "gone" && entry !== undefined) {
      log.warn("the application is gone: it is out of routing", { ...app.target, why: probed.why });
      entry.remove();
      entry = undefined;
    }
    await clock.sleep(probeEveryMs, signal);
  }
  if (entry !== undefined) log.info("the application leaves routing, since the proxy stops", { ...app.target });
  entry?.withdraw(); // open calls are served until the proxy has drained
}
