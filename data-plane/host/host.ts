/** The proxies of this process, each with its own identity, connections and limits (decision 0056). */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { RunningProxy } from "../app.js";
import type { ProxySurroundings } from "../app-parts.js";
import type { ProxyConfig } from "../config.js";
import { HostedProxy, type HostedState } from "./hosted-proxy.js";
import { claimedAddresses } from "./service-settings.js";

export interface HostDeps {
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  /** What every proxy of the process is started with. */
  readonly surroundings: Omit<ProxySurroundings, "log" | "predecessor">;
  /** Returns the log of one service's proxy. */
  readonly logOf: (service: string) => Logger;
}

/** The state of one service. */
export interface HostedService {
  readonly service: string;
  readonly state: HostedState;
  /** Why the service does not run; "" if it does. */
  readonly why: string;
  /** The running proxy; undefined until it serves. */
  readonly running: RunningProxy | undefined;
}

interface Entry {
  readonly proxy: HostedProxy;
  why: string;
}

/** The most services that join and open their files at the same time. */
const startsAtOnce = 4;
/**
 * The milliseconds after which a service that still joins, because no control plane can be reached, makes room for the
 * others.
 */
const startsWithinMs = 5000;
/**
 * The milliseconds after the last takeover of a service after which services that the successor has not taken over
 * stop.
 */
const takenWithinMs = 30_000;
const retry = { msMin: 1000, msMax: 60_000 };

export class Host {
  readonly #deps: HostDeps;
  readonly #signal: AbortSignal;
  readonly #entries = new Map<string, Entry>();
  readonly #whenOver: (() => void)[] = [];
  /** The number of services that a successor has taken over. */
  #handedOver = 0;
  /** Resolves when a successor has taken over the first service. */
  readonly succeeded: Promise<void>;
  #succeed: () => void = () => {};

  /** `signal` stops all proxies. */
  constructor(deps: HostDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.succeeded = new Promise((resolve) => {
      this.#succeed = resolve;
    });
  }

  /** The services in the order in which they were started. */
  get services(): readonly HostedService[] {
    return [...this.#entries].map(([service, { proxy, why }]) => {
      return { service, state: proxy.state, why, running: proxy.running };
    });
  }

  /**
   * Starts a service. Returns undefined if it was told to stop before it had joined. Fails with `exists` if the service
   * runs here already or another one uses its address, and with the errors of its start; it is then forgotten. `token`:
   * used instead of the file that `config` names.
   */
  async add(config: ProxyConfig, token?: string): Promise<RunningProxy | undefined> {
    const { service } = config;
    const before = this.#entries.get(service);
    try {
      return await this.#start(config, token);
    } catch (error) {
      if (this.#entries.get(service)?.proxy.state !== "failed") throw error; // another one runs
      if (before === undefined) this.#entries.delete(service);
      else this.#entries.set(service, before); // it is tried again as before
      throw error;
    }
  }

  /**
   * Starts services that should run as long as the process does. One that cannot start is logged and shown by
   * `services`, and the others continue; it is tried again where waiting helps. Resolves when each has been tried for a
   * time.
   */
  async addAll(configs: readonly ProxyConfig[]): Promise<void> {
    const waiting = [...configs];
    const startNext = async (): Promise<void> => {
      for (let config = waiting.shift(); config !== undefined; config = waiting.shift()) await this.#tryFor(config);
    };
    await Promise.all(Array.from({ length: startsAtOnce }, startNext));
  }

  /** Drains a service and forgets it. Fails with `not_found`. */
  async remove(service: string): Promise<void> {
    const entry = this.#entries.get(service);
    if (entry === undefined) {
      const names = [...this.#entries.keys()].join(", ");
      throw new AshlarError("not_found", `no proxy of ${service} runs in this process, only of ${names || "none"}`);
    }
    await entry.proxy.stop();
    this.#entries.delete(service);
  }

  /** Resolves when all have stopped after `signal` aborted or a successor took over. */
  get over(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenOver.push(resolve);
      this.#look();
    });
  }

  async #start(config: ProxyConfig, token?: string): Promise<RunningProxy | undefined> {
    const { service } = config;
    this.#refuse(config);
    const proxy = new HostedProxy(token === undefined ? config : { ...config, token: "-" });
    const entry: Entry = { proxy, why: "" };
    this.#entries.set(service, entry);
    try {
      const given = token === undefined ? {} : { readStdin: () => Promise.resolve(token) };
      const surroundings = { ...this.#deps.surroundings, ...given, log: this.#deps.logOf(service) };
      const running = await proxy.start(surroundings, this.#signal);
      void running?.handedOver.then(() => this.#beSucceeded());
      void proxy.ended.then(() => this.#ended(entry));
      return running;
    } catch (error) {
      entry.why = error instanceof Error ? error.message : String(error);
      this.#look();
      throw error;
    }
  }

  #refuse(config: ProxyConfig): void {
    const { service } = config;
    const known = this.#entries.get(service);
    if (known !== undefined && known.proxy.state !== "failed")
      throw new AshlarError("exists", `a proxy of ${service} runs in this process already`);
    const wanted = new Set(claimedAddresses(config));
    for (const [other, { proxy }] of this.#entries) {
      const taken = other === service ? undefined : claimedAddresses(proxy.config).find((one) => wanted.has(one));
      if (taken !== undefined) throw new AshlarError("exists", `${service}: ${taken} belongs to ${other} already`);
    }
  }

  async #tryFor(config: ProxyConfig): Promise<void> {
    const tried = new AbortController();
    const passed = this.#deps.clock.sleep(startsWithinMs, AbortSignal.any([this.#signal, tried.signal]));
    await Promise.race([this.#keepTrying(config), passed]);
    tried.abort();
  }

  /** Resolves after the first try; later tries run beside the other services. */
  async #keepTrying(config: ProxyConfig, backoff = new Backoff(retry, this.#deps.random)): Promise<void> {
    const { service } = config;
    const { log, clock } = this.#deps;
    try {
      await this.#start(config);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!isAshlarError(error, "unavailable")) return log.error("a service does not run", { service, why });
      const inMs = Math.round(backoff.nextMs());
      log.error("a service does not run yet", { service, why, inMs });
      void clock.sleep(inMs, this.#signal).then(async () => {
        if (this.#signal.aborted || this.#entries.get(service)?.proxy.config !== config) return;
        await this.#keepTrying(config, backoff);
      });
    }
  }

  /**
   * Notes that a successor has taken over a service. It may have many to start, so the time counts from the last one.
   */
  #beSucceeded(): void {
    this.#handedOver += 1;
    const count = this.#handedOver;
    this.#succeed();
    void this.#deps.clock.sleep(takenWithinMs, this.#signal).then(() => {
      if (this.#handedOver === count) this.#stopRest();
    });
  }

  #ended(entry: Entry): void {
    const { service } = entry.proxy.config;
    if (this.#entries.get(service) === entry) this.#entries.delete(service);
    this.#look();
  }

  #stopRest(): void {
    for (const [service, { proxy }] of this.#entries) {
      this.#deps.log.warn("the successor has not taken this service over: it stops", { service });
      void proxy.stop();
    }
  }

  #look(): void {
    if (!this.#signal.aborted && this.#handedOver === 0) return;
    if ([...this.#entries.values()].some(({ proxy }) => proxy.state !== "failed")) return;
    for (const tell of this.#whenOver.splice(0)) tell();
  }
}
