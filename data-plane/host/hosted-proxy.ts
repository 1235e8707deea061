/** One proxy of this process from its start to its end: its data folder, its parts, and its state. */
import { onAbort } from "../../runtime/abort.js";
import { releaseFolder } from "../../runtime/folder-lock.js";
import { type RunningProxy, startProxy } from "../app.js";
import type { ProxySurroundings } from "../app-parts.js";
import type { ProxyConfig } from "../config.js";
import { takeData } from "./take-data.js";

export type HostedState = "starting" | "serving" | "stopping" | "failed";

export class HostedProxy {
  readonly config: ProxyConfig;
  readonly #stop = new AbortController();
  #running: RunningProxy | undefined;
  #ended: Promise<void> | undefined;
  #state: HostedState = "starting";

  constructor(config: ProxyConfig) {
    this.config = config;
  }

  get state(): HostedState {
    return this.#state === "serving" && this.#stop.signal.aborted ? "stopping" : this.#state;
  }

  /** The running proxy; undefined until it serves. */
  get running(): RunningProxy | undefined {
    return this.#running;
  }

  /**
   * Starts the proxy. Returns undefined if it was told to stop before it had joined. Fails as `startProxy` and
   * `takeData` do, and then leaves nothing behind.
   */
  async start(surroundings: ProxySurroundings, signal: AbortSignal): Promise<RunningProxy | undefined> {
    this.#state = "starting";
    const off = onAbort(signal, () => this.#stop.abort()); // the process may outlive many proxies
    let release = off;
    try {
      const { removeEmpty, predecessor } = await takeData(this.config);
      release = () => {
        off();
        releaseFolder(this.config.dataDir);
        removeEmpty();
      };
      const running = await startProxy(this.config, { ...surroundings, predecessor }, this.#stop.signal);
      this.#running = running;
      this.#state = running === undefined ? "failed" : "serving";
      this.#ended = running?.stopped.finally(release);
      if (running === undefined) release();
      return running;
    } catch (error) {
      this.#state = "failed";
      release();
      throw error;
    }
  }

  /** Drains the proxy. Resolves when it has stopped. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  /** Resolves when the proxy has stopped. May be used only after it has started. */
  get ended(): Promise<void> {
    return this.#ended ?? Promise.resolve();
  }
}
