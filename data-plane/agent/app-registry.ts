import type { AppRegistration, AppView } from "../ports.js";

/** An application's place in the registry. */
export interface RegistryEntry {
  /**
   * The application is out of routing: peers are told to call other instances, and calls that still arrive are served.
   */
  withdraw(): void;
  remove(): void;
}

interface Entry {
  readonly app: AppRegistration;
  readonly onRefused: () => void;
  advertised: boolean;
}

/** The applications that are registered at this proxy; the newest takes the calls. */
export class AppRegistry implements AppView {
  readonly #entries: Entry[] = [];
  readonly #listeners = new Set<(app: AppRegistration | undefined) => void>();
  readonly #advertiseListeners = new Set<(app: AppRegistration | undefined) => void>();
  #told: AppRegistration | undefined;
  #advertisedTold: AppRegistration | undefined;

  get current(): AppRegistration | undefined {
    return this.#entries.at(-1)?.app;
  }

  /** The application that peers are sent to; undefined: they are to go elsewhere. */
  get advertised(): AppRegistration | undefined {
    const last = this.#entries.at(-1);
    return last?.advertised === true ? last.app : undefined;
  }

  /** Adds an application. `onRefused` is called when its socket refuses a connection, after it has been removed. */
  register(app: AppRegistration, onRefused: () => void): RegistryEntry {
    const entry: Entry = { app, onRefused, advertised: true };
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
    const { current, advertised } = this;
    if (current !== this.#told) {
      this.#told = current;
      for (const listener of this.#listeners) listener(current);
    }
    if (advertised !== this.#advertisedTold) {
      this.#advertisedTold = advertised;
      for (const listener of this.#advertiseListeners) listener(advertised);
    }
  }
}
