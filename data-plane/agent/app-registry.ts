import type { AppliedView, AppRegistration, AppView } from "../ports.js";
import { type AppliedReport, AppliedWrites } from "./applied-writes.js";

/** An application's entry in the registry. */
export interface RegistryEntry {
  /**
   * Takes the application out of routing: peers are told to call other instances, and calls that still arrive are
   * served.
   */
  withdraw(): void;
  remove(): void;
  /** Notes what the application has applied of its service's journal. */
  applied(report: AppliedReport): void;
}

/** Who reports that an application cannot be called: health checks, or the agent that hears nothing from it. */
export type HealthSource = "check" | "agent";

interface Entry {
  readonly app: AppRegistration;
  readonly onRefused: () => void;
  advertised: boolean;
  /** Why the application cannot be called now, by reporter. */
  readonly unhealthy: Map<HealthSource, string>;
  /** What the application has applied; undefined: it has never reported anything. */
  applied: AppliedWrites | undefined;
}

/** The applications that are registered at this proxy; the newest one gets the calls. */
export class AppRegistry implements AppView, AppliedView {
  readonly #entries: Entry[] = [];
  readonly #listeners = new Set<(app: AppRegistration | undefined) => void>();
  readonly #advertiseListeners = new Set<(app: AppRegistration | undefined) => void>();
  readonly #healthListeners = new Set<() => void>();
  readonly #appliedListeners = new Set<(report: AppliedReport | undefined) => void>();
  #told: AppRegistration | undefined;
  #unhealthyTold = "";
  #advertisedTold: AppRegistration | undefined;
  #reportsTold = false;

  get current(): AppRegistration | undefined {
    return this.#entries.at(-1)?.app;
  }

  /** The application that peers are told to call; undefined: they should call other instances. */
  get advertised(): AppRegistration | undefined {
    const last = this.#entries.at(-1);
    return last?.advertised === true ? last.app : undefined;
  }

  /** Why the newest application cannot be called now; "": it can be called, or there is none. */
  get unhealthy(): string {
    return [...(this.#entries.at(-1)?.unhealthy.values() ?? [])].join("; ");
  }

  get applied(): AppliedWrites | undefined {
    return this.#entries.at(-1)?.applied;
  }

  onApplied(listener: (report: AppliedReport | undefined) => void): () => void {
    this.#appliedListeners.add(listener);
    return () => this.#appliedListeners.delete(listener);
  }

  /** Sets why an application cannot be called, or undefined if it can, as far as `source` knows. */
  setUnhealthy(app: AppRegistration, source: HealthSource, why: string | undefined): void {
    const entry = this.#entries.find((one) => one.app === app);
    if (entry === undefined) return;
    if (why === undefined) entry.unhealthy.delete(source);
    else entry.unhealthy.set(source, why);
    this.#tell();
  }

  /**
   * Calls `listener` when `unhealthy` has changed, or when it has changed whether the application reports what it has
   * applied.
   */
  onHealth(listener: () => void): () => void {
    this.#healthListeners.add(listener);
    return () => this.#healthListeners.delete(listener);
  }

  /** Adds an application. `onRefused` is called after its socket refused a connection and it was removed for that. */
  register(app: AppRegistration, onRefused: () => void): RegistryEntry {
    const entry: Entry = { app, onRefused, advertised: true, unhealthy: new Map(), applied: undefined };
    this.#entries.push(entry);
    this.#tell();
    return {
      withdraw: () => {
        entry.advertised = false;
        this.#tell();
      },
      remove: () => this.#remove(entry),
      applied: (report) => this.#hear(entry, report),
    };
  }

  #hear(entry: Entry, report: AppliedReport): void {
    const isFirst = entry.applied === undefined;
    entry.applied ??= new AppliedWrites();
    entry.applied.hear(report);
    if (entry !== this.#entries.at(-1)) return;
    for (const listener of this.#appliedListeners) listener(report);
    if (isFirst) this.#tell();
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
    const reports = this.applied !== undefined;
    if (current !== this.#told) {
      this.#told = current;
      // first, because workers are told one thing after the other: what the old one has applied must not count for the
      // new one
      for (const listener of this.#appliedListeners) listener(undefined);
      for (const listener of this.#listeners) listener(current);
    }
    if (advertised !== this.#advertisedTold) {
      this.#advertisedTold = advertised;
      for (const listener of this.#advertiseListeners) listener(advertised);
    }
    if (unhealthy !== this.#unhealthyTold || reports !== this.#reportsTold) {
      this.#unhealthyTold = unhealthy;
      this.#reportsTold = reports;
      for (const listener of this.#healthListeners) listener();
    }
  }
}
