/**
 * Drives the registration machine over the agent's stream: registers, answers pings, and reconnects after the agent was
 * away.
 */
import type { ServiceError } from "@grpc/grpc-js";
import { AshlarError } from "../core/errors.js";
import type { RegisterResponse } from "../proto/gen/ashlar/v1/agent.js";
import type { Backoff } from "../runtime/backoff.js";
import type { Clock } from "../runtime/clock.js";
import { type AgentClient, isPermanent, type RegisterStream } from "./agent-client.js";
import { AppliedReport } from "./applied-report.js";
import {
  idle,
  type RegistrationEffect,
  type RegistrationEvent,
  type RegistrationState,
  step,
} from "./registration-state.js";

/** Changes of the registration, for the application. */
export type RegistrationStatus =
  | { readonly kind: "registered"; readonly leaseMs: number }
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "left" };

export interface RegistrationDeps {
  readonly agent: Pick<AgentClient, "register" | "target">;
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly onStatus: (status: RegistrationStatus) => void;
}

export interface RegistrationOptions {
  readonly service: string;
  /** Where the application takes calls: "unix:PATH" or "127.0.0.1:PORT". */
  readonly address: string;
  /** The name of the instance; if empty, the proxy's id is used. */
  readonly instance: string;
}

export interface RegistrationHandle {
  /**
   * Resolves once the agent has accepted the registration. Fails with `invalid_argument` if the agent refuses for good,
   * and with `unavailable` (and gives the registration up) if it has not answered by `timeoutMs`.
   */
  registered(timeoutMs: number): Promise<void>;
  /**
   * Reports what the application has applied, once for all calls within one turn of the event loop. While the agent is
   * away, the report is kept.
   */
  applied(position: number, sequence: number): void;
  /**
   * Leaves. Resolves with true when no call is left, and with false if `timeoutMs` ended or the agent went away first.
   */
  leave(timeoutMs: number): Promise<boolean>;
  /** Ends the stream; the agent then deregisters the application if it has not done so. */
  close(): void;
}

/** Starts a registration and keeps it until it is left or closed. */
export function openRegistration(deps: RegistrationDeps, options: RegistrationOptions): RegistrationHandle {
  const registration = new Registration(deps, options);
  registration.handle({ kind: "start" });
  return registration;
}

class Registration implements RegistrationHandle {
  readonly #deps: RegistrationDeps;
  readonly #options: RegistrationOptions;
  readonly #closing = new AbortController();
  readonly #watchers = new Set<() => void>();
  #state: RegistrationState = idle;
  #stream: RegisterStream | undefined;
  readonly #applied = new AppliedReport();
  #willReport = false;
  #lastReason = "it has not answered yet";

  constructor(deps: RegistrationDeps, options: RegistrationOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  handle(event: RegistrationEvent): void {
    if (this.#closing.signal.aborted) return;
    const before = this.#state;
    const { state, effects } = step(before, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
    if (state.kind === before.kind) return;
    if (state.kind === "registered") this.#report(true);
    if (state.kind === "registered") this.#deps.onStatus({ kind: "registered", leaseMs: state.leaseMs });
    if (state.kind === "left") this.#deps.onStatus({ kind: "left" });
    for (const watch of [...this.#watchers]) watch();
  }

  async registered(timeoutMs: number): Promise<void> {
    await this.#until((state) => state.kind !== "opening" && state.kind !== "waiting", timeoutMs);
    const state = this.#state;
    if (state.kind === "registered") return;
    const { target } = this.#deps.agent;
    this.close();
    if (state.kind === "refused") {
      throw new AshlarError("invalid_argument", `the agent at ${target} refused the registration: ${state.reason}`);
    }
    const why = `the agent at ${target} has not registered the application within ${timeoutMs} ms`;
    throw new AshlarError("unavailable", `${why}: ${this.#lastReason}`);
  }

  applied(position: number, sequence: number): void {
    this.#applied.add(position, sequence);
    if (this.#willReport) return;
    this.#willReport = true;
    setImmediate(() => {
      this.#willReport = false;
      if (this.#state.kind === "registered") this.#report(false);
    });
  }

  #report(isNew: boolean): void {
    for (const value of this.#applied.take(isNew)) this.#stream?.write({ message: { $case: "applied", value } });
  }

  async leave(timeoutMs: number): Promise<boolean> {
    this.handle({ kind: "leave" });
    await this.#until((state) => state.kind === "left" || state.kind === "refused", timeoutMs);
    this.handle({ kind: "leave-expired" });
    return this.#state.kind === "left" && this.#state.drained;
  }

  close(): void {
    this.#closing.abort();
    this.#stream?.end();
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  #perform(effect: RegistrationEffect): void {
    switch (effect.kind) {
      case "open":
        this.#open();
        return;
      case "pong":
        this.#stream?.write({ message: { $case: "pong", value: {} } });
        return;
      case "send-leave":
        this.#stream?.write({ message: { $case: "leave", value: {} } });
        return;
      case "reset-backoff":
        this.#deps.backoff.reset();
        return;
      case "retry-later":
        this.#retryLater(effect.reason);
    }
  }

  #retryLater(reason: string): void {
    this.#lastReason = reason;
    this.#deps.onStatus({ kind: "lost", reason });
    const due = this.#deps.clock.sleep(this.#deps.backoff.nextMs(), this.#closing.signal);
    void due.then(() => this.handle({ kind: "retry-due" }));
  }

  #open(): void {
    const stream = this.#deps.agent.register();
    this.#stream = stream;
    const end = (reason: string, permanent: boolean) => {
      if (this.#stream !== stream) return; // events of an earlier stream are ignored
      this.#stream = undefined;
      this.handle({ kind: "ended", reason, permanent });
    };
    stream.on("data", (response: RegisterResponse) => {
      const event = this.#stream === stream ? eventOf(response) : undefined;
      if (event !== undefined) this.handle(event);
    });
    stream.on("error", (error: ServiceError) => end(error.details || error.message, isPermanent(error)));
    stream.on("end", () => {
      stream.end();
      end("the agent ended the registration", false);
    });
    stream.write({ message: { $case: "registration", value: { ...this.#options } } });
  }

  /** Resolves when `reached` returns true, at `timeoutMs`, or when the registration is closed. */
  async #until(reached: (state: RegistrationState) => boolean, timeoutMs: number): Promise<void> {
    if (reached(this.#state)) return;
    const done = new AbortController();
    const watch = () => {
      if (reached(this.#state)) done.abort();
    };
    this.#watchers.add(watch);
    await this.#deps.clock.sleep(timeoutMs, AbortSignal.any([done.signal, this.#closing.signal]));
    this.#watchers.delete(watch);
  }
}

function eventOf({ message }: RegisterResponse): RegistrationEvent | undefined {
  switch (message?.$case) {
    case "registered":
      return { kind: "registered", leaseMs: message.value.leaseMs };
    case "ping":
      return { kind: "ping" };
    case "drained":
      return { kind: "drained" };
    case undefined:
      return undefined; // a newer agent sent a message that this SDK does not know
  }
}
