/**
 * Checks the own application's health at intervals: as policy states or, without policy, if the application answers
 * health checks.
 */
import { HealthTrack } from "../../core/balance/health-track.js";
import type { Health } from "../../core/kinds/resilience/resilience.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { AppRegistration } from "../ports.js";
import type { AppRegistry } from "./app-registry.js";
import { type AskedHealth, HealthAsker } from "./ask-health.js";
import { probeApplication } from "./probe-application.js";

export interface ApplicationHealthDeps {
  readonly registry: AppRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns the checks that policy states; undefined: none. */
  policy(): Health | undefined;
  readonly connectAsker?: (target: AppRegistration["target"]) => Pick<HealthAsker, "ask" | "close">;
  readonly probe?: typeof probeApplication;
}

/** The values without policy, and for what policy leaves out. */
export const healthDefaults = { intervalMs: 2000, timeoutMs: 1000, unhealthyAfter: 3, healthyAfter: 2 } as const;
/** The milliseconds until the next check after a failed one, so that a long interval does not delay the verdict. */
const againMs = 1000;
/** The milliseconds after which an application without grpc.health.v1 is asked again; it may be another one by then. */
const unimplementedMs = 30_000;
const idleMs = 200;
const byConnecting = { kind: "connect" } as const;

type Way = typeof byConnecting | { readonly kind: "grpc"; readonly service: string; readonly isStated: boolean };

/** Runs until `signal` aborts, and sets the result in the registry. */
export async function runApplicationHealth(deps: ApplicationHealthDeps, signal: AbortSignal): Promise<void> {
  const { registry, clock } = deps;
  while (!signal.aborted) {
    const app = registry.current;
    if (app !== undefined && wayOf(deps.policy()) !== undefined) await new Checks(deps, app).run(signal);
    await clock.sleep(idleMs, signal);
  }
}

function wayOf(health: Health | undefined): Way | undefined {
  if (health?.off === true) return undefined;
  if (health?.connect === true) return byConnecting;
  return { kind: "grpc", service: health?.grpc ?? "", isStated: health?.grpc !== undefined };
}

/** The checks of one registration under one policy. */
class Checks {
  readonly #deps: ApplicationHealthDeps;
  readonly #app: AppRegistration;
  readonly #health: Health | undefined;
  readonly #bounds: Omit<typeof healthDefaults, never> | Health;
  readonly #track: HealthTrack;
  #asker: Pick<HealthAsker, "ask" | "close"> | undefined;
  /**
   * Whether the application has ever answered a check. Without policy, only such an application is judged by checks.
   */
  #answered = false;
  #told = false;

  constructor(deps: ApplicationHealthDeps, app: AppRegistration) {
    this.#deps = deps;
    this.#app = app;
    this.#health = deps.policy();
    this.#bounds = this.#health ?? healthDefaults;
    this.#track = new HealthTrack(this.#bounds, true);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { registry, clock } = this.#deps;
    try {
      while (!signal.aborted && registry.current === this.#app && this.#deps.policy() === this.#health) {
        const waitMs = await this.#check(signal);
        const untilMs = clock.monotonicMs() + waitMs;
        while (!signal.aborted && registry.current === this.#app && this.#deps.policy() === this.#health) {
          const leftMs = untilMs - clock.monotonicMs();
          if (leftMs <= 0) break;
          await clock.sleep(Math.min(leftMs, againMs), signal);
        }
      }
    } finally {
      this.#asker?.close();
      registry.setUnhealthy(this.#app, "check", undefined);
    }
  }

  /** Returns how long to wait for the next one. */
  async #check(signal: AbortSignal): Promise<number> {
    const way = wayOf(this.#health);
    if (way === undefined) return unimplementedMs;
    const { intervalMs } = this.#bounds;
    const asked = await this.#ask(way, signal);
    if (asked.kind === "unimplemented") return this.#unimplemented(way);
    if (asked.kind === "serving") this.#answered = true;
    const isHeldTo = this.#answered || way.kind === "connect" || way.isStated || asked.kind === "not-serving";
    if (!isHeldTo || signal.aborted) return intervalMs;
    const failed = asked.kind === "serving" ? "" : asked.why;
    if (this.#track.note(failed === "")) this.#changed(failed);
    return failed === "" ? intervalMs : Math.min(intervalMs, againMs);
  }

  async #ask(way: Way, signal: AbortSignal): Promise<AskedHealth> {
    const { probe = probeApplication, connectAsker = (target) => new HealthAsker(target) } = this.#deps;
    if (way.kind === "connect") {
      const probed = await probe(this.#app.target);
      return probed.kind === "accepts" ? { kind: "serving" } : { kind: "failed", why: probed.why };
    }
    this.#asker ??= connectAsker(this.#app.target);
    return this.#asker.ask(way.service, this.#bounds.timeoutMs, signal);
  }

  #unimplemented(way: Way): number {
    if (way.kind === "grpc" && way.isStated && !this.#told) {
      this.#told = true;
      const remedy = "policy asks for it: serve it, or say connect or off under health of the service's Resilience";
      this.#deps.log.warn(`the application has no grpc.health.v1, so it counts as healthy; ${remedy}`);
    }
    return unimplementedMs;
  }

  #changed(failed: string): void {
    const { registry, log } = this.#deps;
    if (failed === "") log.info("the application answers its health checks again: it is back in the rotation");
    else log.warn(`the application failed its health checks: it is out of the rotation`, { why: failed });
    registry.setUnhealthy(this.#app, "check", failed === "" ? undefined : `it failed its health checks: ${failed}`);
  }
}
