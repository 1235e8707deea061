import type { AppRegistration, AppView } from "../ports.js";

/** An application's place in the registry. */
export interface RegistryEntry {
  /**
   * The application is out of routing: peers are told to call other instances, and calls that still arrive are served.
   */
  withdraw(): void;
  remove(): void;
}

/** Who says that an application cannot be called: health checks, or the agent that hears nothing of it. */
export type HealthSource = "check" | "agent";

interface Entry {
  readonly app: AppRegistration;
  readonly onRefused: () => void;
  advertised: boolean;
  /** Why it cannot be called now, by who says so. */
  readonly unhealthy: Map<HealthSource, string>;
}

/** The applications that are registered at this proxy; the newest takes the calls. */
export class AppRegistry implements AppView {
  readonly #entries: Entry[] = [];
  readonly #listeners = new Set<(app: AppRegistration | undefined) => void>();
  readonly #advertiseListeners = new Set<(app: AppRegistration | undefined) => void>();
  readonly #healthListeners = new Set<() => void>();
  #told: AppRegistration | undefined;
  #unhealthyTold = "";
  #advertisedTold: AppRegistration | undefined;

  get current(): AppRegistration | undefined {
    return this.#entries.at(-1)?.app;
  }

  /** The application that peers are sent to; undefined: they are to go elsewhere. */
  get advertised(): AppRegistration | undefined {
    const last = this.#entries.at(-1);
    return last?.advertised === true ? last.app : undefined;
  }

  /** Why the newest application cannot be called now; "": it can, or there is none. */
  get unhealthy(): string {
    return [...(this.#entries.at(-1)?.unhealthy.values() ?? [])].join("; ");
  }

  /** Notes why an application cannot be called, or (undefined) that it can, as far as `source` knows. */
  setUnhealthy(app: AppRegistration, source: HealthSource, why: string | undefined): void {
    const entry = this.#entries.find((one) => one.app === app);
    if (entry === undefined) return;
    if (why === undefined) entry.unhealthy.delete(source);
    else entry.unhealthy.set(source, why);
    this.#tell();
  }

  /** Calls `listener` when `unhealthy` has changed. */
  onHealth(listener: () => void): () => void {
    this.#healthListeners.add(listener);
    return () => this.#healthListeners.delete(listener);
  }

  /** Adds an application; `onRefused` hears that its socket refused (it is removed already then). */
  register(app: AppRegistration, onRefused: () => void): RegistryEntry {
    const entry: Entry = { app, onRefused, advertised: true, unhealthy: new Map() };
    this.#entries.push(entry);
    this.#tell();
    return {
      withdraw: () => {
        entry.advertised = false;
        this.#tell();
      },
      remove: () => this.#remove(entry),
    };
  }

  onChange(listener: (app: AppRegistration | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` when the state that peers are told has changed. */
  onAdvertise(listener: (app: AppRegistration | undefined) => void): () => void {
    this.#advertiseListeners.add(listener);
    return () => this.#advertiseListeners.delete(listener);
  }

  reportRefused(app: AppRegistration): void {
    const entry = this.#entries.find((one) => one.app === app);
    if (entry === undefined) return;
    this.#remove(entry);
    entry.onRefused();
  }

  #remove(entry: Entry): void {
    const index = this.#entries.indexOf(entry);
    if (index < 0) return;
    this.#entries.splice(index, 1);
    this.#tell();
  }

  #tell(): void {
    const { current, advertised, unhealthy } = this;
    if (current !== this.#told) {
      this.#told = current;
      for (const listener of this.#listeners) listener(current);
    }
    if (advertised !== this.#advertisedTold) {
      this.#advertisedTold = advertised;
      for (const listener of this.#advertiseListeners) listener(advertised);
    }
    if (unhealthy !== this.#unhealthyTold) {
      this.#unhealthyTold = unhealthy;
      for (const listener of this.#healthListeners) listener();
    }
  }
}
