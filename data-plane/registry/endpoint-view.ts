/**
 * Follows the endpoints and heartbeats of the services that this proxy calls, and of its own. A statement
 * counts only if its writer published it himself by his own subject. What is known is kept on disk, so that
 * a restart without NATS still finds everybody.
 */
import { messageOf } from "../../core/errors.js";
import type { Endpoint } from "../../core/model.js";
import { encodeEndpoint, parseEndpoint, readLeaving } from "../../core/wire/fleet.js";
import { endpointStream, endpointSubject, heartbeatSubject, parseFleetSubject } from "../../core/wire/subjects.js";
import type { Bus, BusMessage, BusSubscription } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { FollowedEndpoints } from "../ports.js";
import { encodeStateFile, parseStateFile } from "../sync/state-file.js";
import type { StateFolder } from "../sync/state-folder.js";
import { instancesMax, RegistryState } from "./registry-state.js";

export interface EndpointRegistryDeps {
  readonly bus: Bus;
  /** DATA/state. */
  readonly folder: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface EndpointRegistry extends FollowedEndpoints {
  stop(): Promise<void>;
}

const servicesMax = 1000;
const readyMs = 2000;
const lookMs = 1000;
const saveMs = 3000;
const fileName = "endpoints";

/** Opens the view with what the disk has, following `service` (this proxy's own) from the start. Never fails. */
export async function openEndpointRegistry(deps: EndpointRegistryDeps, service: string): Promise<EndpointRegistry> {
  const registry = new Registry(deps);
  await registry.load();
  registry.endpoints(service);
  void registry.run();
  return registry;
}

interface Followed {
  readonly state: RegistryState;
  readonly subscriptions: readonly BusSubscription[];
  ready: Promise<void>;
}

class Registry implements EndpointRegistry {
  readonly #deps: EndpointRegistryDeps;
  readonly #followed = new Map<string, Followed>();
  readonly #known = new Map<string, Endpoint[]>();
  readonly #listeners = new Set<(service: string) => void>();
  readonly #stop = new AbortController();
  #lastHeardMs = Number.NEGATIVE_INFINITY;
  #refused = 0;
  #changed = false;

  constructor(deps: EndpointRegistryDeps) {
    this.#deps = deps;
  }

  endpoints(service: string): readonly Endpoint[] {
    return this.#follow(service)?.state.live ?? [];
  }

  async ready(service: string): Promise<void> {
    const { bus, clock } = this.#deps;
    const followed = this.#follow(service);
    if (followed === undefined || !bus.connected) return;
    const bound = new AbortController();
    await Promise.race([followed.ready, clock.sleep(readyMs, bound.signal)]);
    bound.abort();
  }

  onChange(listener: (service: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends leases and saves what changed, until stopped. */
  async run(): Promise<void> {
    const { bus, clock } = this.#deps;
    const { signal } = this.#stop;
    const stopStatus = bus.onStatus(({ connected }) => {
      if (!connected) return;
      this.#lastHeardMs = Number.NEGATIVE_INFINITY;
      for (const [service, followed] of this.#followed) {
        followed.state.renewLeases(clock.monotonicMs());
        followed.ready = this.#catchUp(service, followed);
      }
    });
    let savedMs = clock.monotonicMs();
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal);
      const nowMs = clock.monotonicMs();
      if (bus.connected) {
        for (const [service, { state }] of this.#followed)
          if (state.look(nowMs, this.#lastHeardMs)) this.#tell(service);
      }
      if (nowMs - savedMs < saveMs) continue;
      savedMs = nowMs;
      await this.#save();
    }
    stopStatus();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const { subscriptions } of this.#followed.values()) for (const one of subscriptions) one.close();
    await this.#save();
  }

  #follow(service: string): Followed | undefined {
    const known = this.#followed.get(service);
    if (known !== undefined || this.#stop.signal.aborted) return known;
    if (this.#followed.size >= servicesMax) return undefined;
    const { bus, clock } = this.#deps;
    const state = new RegistryState();
    for (const endpoint of this.#known.get(service) ?? []) state.takeEndpoint(endpoint, clock.monotonicMs());
    this.#known.delete(service);
    const endpoints = bus.subscribe(endpointSubject(service, "*"));
    const heartbeats = bus.subscribe(heartbeatSubject(service, "*"));
    const followed: Followed = { state, subscriptions: [endpoints, heartbeats], ready: Promise.resolve() };
    this.#followed.set(service, followed);
    void this.#receive(service, followed, endpoints);
    void this.#receive(service, followed, heartbeats);
    if (bus.connected) followed.ready = this.#catchUp(service, followed);
    return followed;
  }

  async #receive(service: string, followed: Followed, subscription: BusSubscription): Promise<void> {
    let dropped = 0;
    for await (const message of subscription) {
      if (subscription.dropped > dropped) {
        dropped = subscription.dropped;
        followed.ready = this.#catchUp(service, followed);
      }
      this.#take(service, followed.state, message);
    }
  }

  /** Reads every proxy's last word; what arrives meanwhile counts by its own time. */
  async #catchUp(service: string, followed: Followed): Promise<void> {
    const { bus, log } = this.#deps;
    const subject = endpointSubject(service, "*");
    try {
      let from = 1;
      for (let count = 0; count < instancesMax && !this.#stop.signal.aborted; count += 1) {
        const message = await bus.directGet(endpointStream, { nextOf: subject, from });
        if (message === undefined) return;
        from = message.sequence + 1;
        this.#take(service, followed.state, message);
      }
    } catch (error) {
      if (bus.connected) log.warn(`the endpoints of ${service} cannot be read: ${messageOf(error)}`);
    }
  }

  #take(service: string, state: RegistryState, message: BusMessage): void {
    const atMs = this.#deps.clock.monotonicMs();
    const writer = parseFleetSubject(message.subject);
    if (writer?.service !== service || message.relayed) {
      this.#refuse(message.subject, "it was not published by its writer");
      return;
    }
    try {
      if (message.subject.startsWith("ashlar.heartbeat.")) {
        const leaving = readLeaving(message.data);
        this.#lastHeardMs = atMs;
        if (state.takeHeartbeat(writer.proxyId, leaving, atMs)) this.#tell(service);
      } else if (state.takeEndpoint(parseEndpoint(message.data, writer), atMs)) {
        this.#tell(service);
      }
    } catch (error) {
      this.#refuse(message.subject, messageOf(error));
    }
  }

  /** Said for the first and then for every thousandth: a flood fills no log. */
  #refuse(subject: string, why: string): void {
    if (this.#refused % 1000 === 0) this.#deps.log.warn(`a message on ${subject} is refused: ${why}`);
    this.#refused += 1;
  }

  #tell(service: string): void {
    this.#changed = true;
    for (const listener of this.#listeners) listener(service);
  }

  // === Disk ===

  /** Reads the last known endpoints; damage is said and ignored. */
  async load(): Promise<void> {
    try {
      const bytes = await this.#deps.folder.read(fileName);
      const { endpoints } = bytes === undefined ? { endpoints: [] } : parseStateFile(bytes);
      for (const item of Array.isArray(endpoints) ? (endpoints as unknown[]) : []) this.#loadOne(item);
    } catch (error) {
      this.#deps.log.error(`state on disk: ${fileName} is ignored: ${messageOf(error)}`);
    }
  }

  #loadOne(item: unknown): void {
    const [service, proxyId, text]: unknown[] = Array.isArray(item) ? item : [];
    if (typeof service !== "string" || typeof proxyId !== "string" || typeof text !== "string") return;
    const endpoint = parseEndpoint(new Uint8Array(Buffer.from(text, "base64")), { service, proxyId });
    const list = this.#known.get(service) ?? [];
    list.push(endpoint);
    this.#known.set(service, list);
  }

  async #save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    const all = [...[...this.#followed.values()].map(({ state }) => state.live), ...this.#known.values()].flat();
    const endpoints = all
      .slice(0, instancesMax)
      .map((one) => [one.service, one.proxyId, Buffer.from(encodeEndpoint(one)).toString("base64")]);
    try {
      await this.#deps.folder.write(fileName, encodeStateFile({ endpoints }));
    } catch (error) {
      this.#changed = true;
      this.#refuse(fileName, messageOf(error));
    }
  }
}
