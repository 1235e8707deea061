/**
 * Reports this proxy's state (I7): a heartbeat with its line of the fleet view, and the endpoint at which its instance
 * takes calls. Heartbeats may be lost; the endpoint is stored, and stated again until it is.
 */
import { messageOf } from "../../core/errors.js";
import type { Endpoint } from "../../core/model.js";
import { encodeEndpoint, encodeHeartbeat, parseEndpoint } from "../../core/wire/fleet.js";
import { endpointStream, endpointSubject, heartbeatSubject } from "../../core/wire/subjects.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Bus } from "../../runtime/bus.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import type { AppliedView } from "../ports.js";
import { buildHeartbeat, type HeartbeatDeps, type HeartbeatOptions } from "./heartbeat.js";
import { RepeatedNews } from "./repeated-news.js";
import { soonMs } from "./soon.js";

export interface FleetReporterDeps extends HeartbeatDeps {
  readonly bus: Bus;
  readonly log: Logger;
  readonly random?: () => number;
  readonly statements: Pick<StatementWriter, "sign">;
  /** The health of the application. Left out: there is nothing to check. */
  readonly health?: {
    readonly unhealthy: string;
    readonly applied?: AppliedView["applied"];
    onHealth(listener: () => void): () => void;
  };
}

export interface FleetReporterOptions extends HeartbeatOptions {
  /** False if the proxy only carries a client's outbound calls and so has no endpoint. */
  readonly serves: boolean;
  /** Milliseconds between checks that the stored endpoint is still the stated one. Default: about 30 seconds. */
  readonly lookAgainMs?: number;
}

export interface FleetReporter {
  /** Begins to report. `address`: the "HOST:PORT" that other proxies dial. It is known once the proxy listens. */
  start(address: string): void;
  /** Sends a heartbeat soon. Several calls lead to one heartbeat. */
  poke(): void;
  /**
   * States that this proxy takes no more calls: a tombstone, then a leaving heartbeat. Resolves when the tombstone is
   * stored or 2 s have passed. Nothing is reported after that.
   */
  leave(): Promise<void>;
  /** Reports nothing until `goOn`. Resolves when a running store has ended, successfully or not. */
  hold(): Promise<void>;
  goOn(): void;
  /** Stops without sending anything, as a crash would. */
  stop(): void;
}

const intervalMs = 3000;
const lookAgainMsDefault = 30_000;
const leaveMs = 2000;
const retry = { msMin: 100, msMax: 5000 };

export function createFleetReporter(deps: FleetReporterDeps, options: FleetReporterOptions): FleetReporter {
  return new Reporter(deps, options);
}

class Reporter implements FleetReporter {
  readonly #deps: FleetReporterDeps;
  readonly #options: FleetReporterOptions;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #off: (() => void)[] = [];
  #wakeEndpoint: AbortController = new AbortController();
  #address = "";
  readonly #news = new RepeatedNews();
  #leaving = false;
  #poked = false;
  #switched = false; // and not reported yet
  /** When the next heartbeat is due if nothing changes, by the monotonic clock. */
  #beatAtMs = 0;
  #held = false;
  /** The last statement that was stored. Below: the latest time that was stated. */
  #stated: string | undefined;
  #stored: Uint8Array | undefined;
  #lastMs = 0;
  #stating: Promise<boolean> | undefined;

  constructor(deps: FleetReporterDeps, options: FleetReporterOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#random = deps.random ?? Math.random;
  }

  start(address: string): void {
    this.#address = address;
    const { app, identity, policy, bus, health } = this.#deps;
    const restate = (): void => {
      this.poke();
      this.#wakeEndpoint.abort();
    };
    this.#off.push(
      app.onChange(restate),
      health?.onHealth(restate) ?? (() => {}),
      identity.onRotate(restate),
      policy.onSwitch(() => this.poke(true)),
      bus.onStatus(({ connected }) => {
        if (connected) restate();
      }),
    );
    void this.#beat();
    if (this.#options.serves) void this.#state();
  }

  poke(isSwitch = false): void {
    this.#switched ||= isSwitch;
    if (this.#poked || this.#address === "") return; // several changes share a heartbeat; the first one is said at the start
    this.#poked = true;
    void this.#beatSoon();
  }

  async hold(): Promise<void> {
    this.#held = true;
    await this.#stating;
  }

  goOn(): void {
    this.#held = false;
    this.poke();
    this.#wakeEndpoint.abort();
  }

  async leave(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#leaving = true;
    this.stop();
    const { clock, bus } = this.#deps;
    const bound = new AbortController();
    const late = clock.sleep(leaveMs, bound.signal);
    if (this.#options.serves && this.#address !== "") await Promise.race([this.#stateUntilStored(bound.signal), late]);
    this.#publishHeartbeat();
    await Promise.race([bus.flush().catch(() => {}), late]);
    bound.abort();
  }

  stop(): void {
    this.#stop.abort();
    this.#wakeEndpoint.abort();
    for (const off of this.#off.splice(0)) off();
  }

  // === Heartbeats ===

  /** A poke ends no sleep: this loop finds that the heartbeat it waited for was sent, and waits for the next. */
  async #beat(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const waitMs = this.#beatAtMs - clock.monotonicMs();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
      else this.#publishHeartbeat();
    }
  }

  async #beatSoon(): Promise<void> {
    const { clock, policy } = this.#deps;
    const { signal } = this.#stop;
    await clock.sleep(soonMs(policy.lagMs, this.#switched, this.#random()), signal);
    this.#poked = this.#switched = false;
    if (!signal.aborted) this.#publishHeartbeat();
  }

  #publishHeartbeat(): void {
    const { bus, clock, identity, log, policy, statements } = this.#deps;
    const { service, proxyId } = identity.current;
    this.#beatAtMs = clock.monotonicMs() + intervalMs * (0.8 + this.#random() * 0.4);
    if (!bus.connected || this.#held) return;
    try {
      const heartbeat = buildHeartbeat(this.#deps, this.#options, this.#leaving);
      const repeated = this.#news.headersFor(heartbeat, policy.isStaged || policy.shadow !== undefined);
      const bytes = encodeHeartbeat(heartbeat);
      bus.publish(heartbeatSubject(service, proxyId), bytes, { ...statements.sign("heartbeat", bytes), ...repeated });
    } catch (error) {
      log.error(`a heartbeat cannot be sent: ${messageOf(error)}`);
    }
  }

  // === The endpoint ===

  /** States the endpoint whenever it changes here or is lost from the stream, until the proxy stops. */
  async #state(): Promise<void> {
    const { lookAgainMs = lookAgainMsDefault } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#wakeEndpoint = new AbortController();
      const wake = this.#wakeEndpoint.signal;
      await this.#stateUntilStored(signal);
      do await this.#deps.clock.sleep(lookAgainMs * (0.8 + this.#random() * 0.4), wake);
      while (!wake.aborted && (await this.#isStated()));
    }
  }

  /**
   * Returns whether the stream still has the endpoint stored last. Someone may have removed it, or the stream was lost.
   */
  async #isStated(): Promise<boolean> {
    const { bus, identity, log } = this.#deps;
    const subject = endpointSubject(identity.current.service, identity.current.proxyId);
    if (!bus.connected || this.#held || this.#stored === undefined) return true; // the endpoint is checked again when NATS is back
    try {
      const message = await bus.directGet(endpointStream, { lastOf: subject });
      if (message !== undefined && Buffer.compare(message.data, this.#stored) === 0) return true;
      log.warn("the stored statement of this endpoint is missing or differs: storing it again");
      this.#stated = undefined;
      this.#lastMs = Math.max(this.#lastMs, await this.#statedBefore(subject));
      return false;
    } catch {
      return true; // the endpoint could not be read
    }
  }

  async #stateUntilStored(signal: AbortSignal): Promise<void> {
    const { bus, clock } = this.#deps;
    const backoff = new Backoff(retry, this.#random);
    while (!signal.aborted) {
      if (bus.connected && (await this.#stateOnce())) return;
      await clock.sleep(backoff.nextMs(), signal);
    }
  }

  /** Stores one statement at a time, so that an older one never arrives after a newer one. */
  async #stateOnce(): Promise<boolean> {
    while (this.#stating !== undefined) await this.#stating;
    if (this.#held) return false;
    this.#stating = this.#store().finally(() => {
      this.#stating = undefined;
    });
    return this.#stating;
  }

  async #store(): Promise<boolean> {
    const { bus, log, identity, statements } = this.#deps;
    const { service, proxyId } = identity.current;
    const subject = endpointSubject(service, proxyId);
    try {
      if (this.#lastMs === 0) this.#lastMs = await this.#statedBefore(subject);
      const text = this.#content();
      if (text === this.#stated) return true;
      const timeMs = Math.max(this.#deps.clock.nowMs(), this.#lastMs + 1);
      const bytes = encodeEndpoint(this.#endpoint(timeMs));
      await bus.append(subject, bytes, { headers: statements.sign("endpoint", bytes) });
      this.#lastMs = timeMs;
      this.#stated = text;
      this.#stored = bytes;
      return this.#content() === text; // the endpoint may have changed meanwhile
    } catch (error) {
      if (bus.connected) log.warn(`the endpoint cannot be stated: ${messageOf(error)}`);
      return false;
    }
  }

  /**
   * Returns the time of the last statement of an earlier run of this proxy. New statements must be later, whatever the
   * clock says.
   */
  async #statedBefore(subject: string): Promise<number> {
    const { service, proxyId } = this.#deps.identity.current;
    const message = await this.#deps.bus.directGet(endpointStream, { lastOf: subject });
    if (message === undefined) return 1;
    try {
      return parseEndpoint(message.data, { service, proxyId }).timeMs;
    } catch {
      return 1; // written by a version that this one cannot read
    }
  }

  /**
   * Returns the endpoint to state, with its certificate. It is valid as long as its certificate, so it is stated again
   * with the next certificate.
   */
  #content(): string {
    return JSON.stringify([this.#endpoint(0), this.#deps.identity.current.serial]);
  }

  #endpoint(timeMs: number): Endpoint {
    const { proxyId, service, version } = this.#deps.identity.current;
    const app = this.#deps.app.current;
    const gone = app === undefined || this.#leaving;
    const unhealthy = this.#deps.health?.unhealthy ?? "";
    return {
      proxyId,
      service,
      instance: app?.instance ?? proxyId,
      version,
      address: this.#address,
      labels: this.#options.labels,
      gone,
      timeMs,
      ...(unhealthy === "" || gone ? {} : { unhealthy }),
      ...(gone || this.#deps.health?.applied === undefined ? {} : { reportsApplied: true }),
    };
  }
}
