/** Drives one registration stream of the agent. */
import { messageOf } from "../../core/errors.js";
import type { Logger } from "../../runtime/log.js";
import { LostTime } from "../../runtime/lost-time.js";
import type { AppRegistration } from "../ports.js";
import type { AgentEffect, AgentEvent, AgentState } from "./agent-state.js";
import { newRegistration, step } from "./agent-state.js";
import type { RegistryEntry } from "./app-registry.js";
import { type AppliedReport, AppliedWrites } from "./applied-writes.js";
import type { Probed } from "./probe-application.js";

export interface RegistrationPorts {
  register(app: AppRegistration, onRefused: () => void): RegistryEntry;
  /** Sets why the application cannot be called now; undefined: it can be. */
  setUnhealthy(app: AppRegistration, why: string | undefined): void;
  probe(target: AppRegistration["target"]): Promise<Probed>;
  /** Resolves when peers have been told and no call is open, or when the time limit is over. */
  drained(): Promise<void>;
  say(message: "ping" | "drained" | { readonly registeredLeaseMs: number }): void;
  /** Ends the stream with an error. */
  fail(code: "invalid_argument" | "unavailable" | "stale", reason: string): void;
  nowMs(): number;
  readonly log: Logger;
}

/** The reason in the log for taking an application out, by event. */
const reasons: Readonly<Partial<Record<AgentEvent["kind"], string>>> = {
  drained: "it left, and no call to it is open",
  gone: "its process ended, or closed the stream",
  "half-closed": "its process ended, or closed the stream",
  refused: "its socket refused a connection",
  registration: "it registered twice",
};

export class RegistrationLoop {
  readonly #ports: RegistrationPorts;
  readonly #leaseMs: number;
  readonly #ticker: NodeJS.Timeout;
  #state: AgentState = newRegistration;
  #app: AppRegistration | undefined;
  #entry: RegistryEntry | undefined;
  /** What the application reported before it was registered. */
  readonly #applied = new AppliedWrites();
  #hasApplied = false;

  constructor(ports: RegistrationPorts, leaseMs: number) {
    this.#ports = ports;
    this.#leaseMs = leaseMs;
    const everyMs = leaseMs / 10;
    const lost = new LostTime(everyMs, ports.nowMs());
    this.#ticker = setInterval(() => {
      const nowMs = ports.nowMs();
      this.handle({ kind: "tick", nowMs, lostMs: lost.turn(nowMs) });
    }, everyMs).unref();
  }

  get ended(): boolean {
    return this.#state.kind === "ended";
  }

  registration(app: AppRegistration): void {
    this.#app ??= app;
    this.handle({ kind: "registration" });
  }

  /** Notes what the application has applied. Reports before its registration count from the registration on. */
  applied(report: AppliedReport): void {
    if (this.#entry !== undefined) this.#entry.applied(report);
    else this.#applied.hear(report);
    this.#hasApplied = true;
  }

  handle(event: AgentEvent): void {
    const { state, effects } = step(this.#state, event, this.#leaseMs);
    this.#state = state;
    if (state.kind === "ended") clearInterval(this.#ticker);
    for (const effect of effects) this.#perform(effect, event);
  }

  #perform(effect: AgentEffect, event: AgentEvent): void {
    const app = this.#app;
    const { log } = this.#ports;
    const names = { instance: app?.instance, ...app?.target };
    switch (effect.kind) {
      case "probe":
        if (app !== undefined) void this.#probe(app);
        break;
      case "register":
        if (app === undefined) break;
        this.#entry = this.#ports.register(app, () => this.handle({ kind: "refused" }));
        if (this.#hasApplied) this.#entry.applied(this.#applied.report());
        this.#ports.say({ registeredLeaseMs: this.#leaseMs });
        log.info("an application registered", names);
        break;
      case "ping":
        this.#ports.say("ping");
        break;
      case "drain":
        log.info("the application leaves: its open calls may end", names);
        this.#entry?.withdraw();
        void this.#ports.drained().then(() => this.handle({ kind: "drained" }));
        break;
      case "unregister":
        this.#entry?.remove();
        log.info("the application is out of routing", { ...names, why: reasons[event.kind] });
        break;
      case "say-drained":
        this.#ports.say("drained");
        break;
      case "warn-silent":
        log.warn(
          `the application has not answered for ${effect.silentMs} ms: its process is blocked, stopped or overloaded. It is out of the rotation until it answers; where it is the only one, calls to it wait for it`,
          names,
        );
        if (app !== undefined) this.#ports.setUnhealthy(app, "it has not answered its proxy for too long");
        break;
      case "say-heard":
        if (app !== undefined) this.#ports.setUnhealthy(app, undefined);
        log.info(`the application answers again, after ${effect.silentMs} ms`, names);
        break;
      case "fail":
        log.warn("the registration of an application ended", { ...names, why: effect.reason });
        this.#ports.fail(effect.code, effect.reason);
        break;
    }
  }

  async #probe(app: AppRegistration): Promise<void> {
    let probed: Probed;
    try {
      probed = await this.#ports.probe(app.target);
    } catch (error) {
      probed = { kind: "gone", why: messageOf(error) };
    }
    if (probed.kind === "accepts") this.handle({ kind: "reachable", nowMs: this.#ports.nowMs() });
    else this.handle({ kind: "unreachable", reason: `the application's socket cannot be reached: ${probed.why}` });
  }
}
