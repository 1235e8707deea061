/**
 * Follows the endpoints and heartbeats of the services whose instances are asked for. A statement counts only if its
 * proxy signed it (decision 0026). An endpoint is verified when it arrives, but a heartbeat only when its proxy's lease
 * needs it, so that hundreds of proxies cost little. What is known is kept on disk for restarts without NATS.
 */
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Endpoint } from "../../core/model.js";
import { type FleetWriter, readLeaving } from "../../core/wire/fleet.js";
import { withStatementAlone } from "../../core/wire/statement.js";
import { endpointReadSubject, endpointStream, heartbeatSubject, parseFleetSubject } from "../../core/wire/subjects.js";
import { asPublished, type Bus, type BusMessage, type BusSubscription } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { FollowedEndpoints, TrustView } from "../ports.js";
import type { StateFolder } from "../sync/state-folder.js";
import { loadEndpoints, saveEndpoints } from "./endpoint-file.js";
import { followEcho } from "./own-echo.js";
import { readEndpoint, readStored } from "./read-endpoint.js";
import { leaseMs, RegistryState, type StatedEndpoint } from "./registry-state.js";

export interface EndpointRegistryDeps {
  readonly bus: Bus;
  /** The folder DATA/state. */
  readonly folder: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly reader: StatementReader;
  readonly trust: Pick<TrustView, "onChange">;
}

export interface EndpointRegistry extends FollowedEndpoints {
  stop(): Promise<void>;
}

const servicesMax = 1000;
const readyMs = 2000;
const lookMs = 1000;
const saveMs = 3000;
/** A heartbeat is verified when its proxy's lease is half over: the next one comes before the lease ends. */
const judgeAfterMs = leaseMs / 2;
/** The heartbeat of a silent proxy is verified at once, but at most once in this time, in milliseconds. */
const judgeEveryMs = 1000;
/** Skipped endpoints are read from the stream, for all services together at most once in this time, in milliseconds. */
const readAgainMs = 5000;
const pendingBytesMax = 64 * 1024; // the longest heartbeat that is kept to be verified later

/** Opens the view of the proxy `self` with what is on disk. Never fails. */
export async function openEndpointRegistry(deps: EndpointRegistryDeps, self: FleetWriter): Promise<EndpointRegistry> {
  const registry = new Registry(deps, self);
  await registry.load();
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
  /** The endpoints from disk of services that nobody has asked for yet. */
  #known = new Map<string, readonly StatedEndpoint[]>();
  readonly #listeners = new Set<(service: string) => void>();
  readonly #stop = new AbortController();
  #lastHeardMs = Number.NEGATIVE_INFINITY;
  /** The services for which an endpoint was skipped because too much arrived. */
  readonly #unread = new Set<string>();
  #readAgainMs = 0;
  #strangerMs = Number.NEGATIVE_INFINITY;
  #refused = 0;
  #changed = false;
  readonly #own: string;
  readonly #endEcho: () => void;

  constructor(deps: EndpointRegistryDeps, { service, proxyId }: FleetWriter) {
    this.#deps = deps;
    this.#own = service;
    const take = (message: BusMessage, nobody: RegistryState) => this.#take(service, nobody, message);
    this.#endEcho = followEcho(deps.bus, heartbeatSubject(service, proxyId), take);
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

  /** Ends leases and saves changes until the proxy stops. */
  async run(): Promise<void> {
    const { bus, clock, trust } = this.#deps;
    const { signal } = this.#stop;
    const stopTrust = trust.onChange(() => this.#dropRevoked());
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
        for (const [service, { state }] of this.#followed) this.#look(service, state, nowMs);
        this.#readUnread(nowMs);
      }
      if (nowMs - savedMs < saveMs) continue;
      savedMs = nowMs;
      await this.#save();
    }
    stopStatus();
    stopTrust();
  }

  #look(service: string, state: RegistryState, nowMs: number): void {
    const { clock } = this.#deps;
    for (const instance of state.all()) {
      if (instance.pending === undefined || nowMs - instance.heardMs < judgeAfterMs) continue;
      const { message, atMs } = instance.pending;
      instance.pending = undefined;
      this.#judgeHeartbeat(service, state, message, atMs);
    }
    if (state.look(nowMs, this.#lastHeardMs, clock.nowMs())) this.#tell(service);
  }

  #readUnread(nowMs: number): void {
    if (this.#unread.size === 0 || nowMs - this.#readAgainMs < readAgainMs) return;
    this.#readAgainMs = nowMs;
    for (const [service, followed] of this.#followed)
      if (this.#unread.has(service)) followed.ready = this.#catchUp(service, followed);
    this.#unread.clear();
  }

  #dropRevoked(): void {
    const { reader } = this.#deps;
    for (const [service, { state }] of this.#followed)
      if (state.drop((serial) => reader.revocationOf(serial) !== undefined)) this.#tell(service);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#endEcho();
    for (const { subscriptions } of this.#followed.values()) for (const one of subscriptions) one.close();
    await this.#save();
  }

  #follow(service: string): Followed | undefined {
    const known = this.#followed.get(service);
    if (known !== undefined || this.#stop.signal.aborted) return known;
    if (this.#followed.size >= servicesMax) return undefined;
    const { bus, clock, reader } = this.#deps;
    if (service === this.#own) this.#endEcho(); // otherwise it would come twice, as a replay does
    const state = new RegistryState();
    for (const stated of this.#known.get(service) ?? [])
      if (stated.serial === undefined || reader.revocationOf(stated.serial) === undefined)
        state.takeEndpoint(stated, clock.monotonicMs());
    this.#known.delete(service);
    const endpoints = bus.subscribe(endpointReadSubject(service, "*"));
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

  /** Reads every proxy's last statement. Statements that arrive meanwhile count by their own time. */
  async #catchUp(service: string, followed: Followed): Promise<void> {
    const { bus, clock, log } = this.#deps;
    try {
      for await (const message of readStored(bus, service, this.#stop.signal))
        this.#takeEndpoint(service, followed.state, message, clock.monotonicMs(), true);
    } catch (error) {
      if (bus.connected) log.warn(`the endpoints of ${service} cannot be read: ${messageOf(error)}`);
    }
  }

  #take(service: string, state: RegistryState, message: BusMessage): void {
    const atMs = this.#deps.clock.monotonicMs();
    const published = asPublished(message, endpointStream) ?? message;
    const writer = parseFleetSubject(published.subject);
    if (writer?.service !== service) this.#refuse(message.subject, "it is of another service");
    else if (published.subject.startsWith("ashlar.heartbeat."))
      this.#takeHeartbeat(service, state, message, writer.proxyId, atMs);
    else this.#takeEndpoint(service, state, published, atMs, false);
  }

  #takeHeartbeat(service: string, state: RegistryState, message: BusMessage, proxyId: string, atMs: number): void {
    const known = state.find(proxyId);
    if (known === undefined || known.endpoint.gone) {
      // it takes no calls, so it only shows that others are heard
      if (atMs - Math.max(this.#lastHeardMs, this.#strangerMs) < judgeAfterMs) return;
      this.#strangerMs = atMs - judgeAfterMs + judgeEveryMs;
      this.#judgeHeartbeat(service, state, message, atMs);
    } else if (!known.silent && known.recent && message.data.length <= pendingBytesMax) {
      known.pending = { message: withStatementAlone(message), atMs };
    } else if (atMs - known.judgedMs >= judgeEveryMs) {
      this.#judgeHeartbeat(service, state, message, atMs);
    }
  }

  #judgeHeartbeat(service: string, state: RegistryState, message: BusMessage, atMs: number): void {
    const { clock, reader } = this.#deps;
    const [known, nowMs] = [state.find(parseFleetSubject(message.subject)?.proxyId ?? ""), clock.monotonicMs()];
    if (known !== undefined) known.judgedMs = nowMs;
    try {
      const { writer, signed } = reader.hear("heartbeat", message);
      if (signed?.revoked !== undefined) return;
      const leaving = readLeaving(message.data);
      this.#lastHeardMs = Math.max(this.#lastHeardMs, atMs);
      if (state.takeHeartbeat(writer.proxyId, leaving, atMs)) this.#tell(service);
    } catch (error) {
      if (known !== undefined) known.refusedMs = nowMs;
      this.#refuse(message.subject, messageOf(error));
    }
  }

  /** Takes an endpoint that arrived. `asked`: this proxy read it from the stream. */
  #takeEndpoint(service: string, state: RegistryState, message: BusMessage, atMs: number, asked: boolean): void {
    const { clock, reader } = this.#deps;
    try {
      const stated = readEndpoint(reader, message, asked, clock.nowMs());
      if (stated !== undefined && state.takeEndpoint(stated, atMs)) this.#tell(service);
    } catch (error) {
      if (isAshlarError(error, "limit")) this.#unread.add(service); // the stream has it
      this.#refuse(message.subject, messageOf(error));
    }
  }

  /** Logs the first refused statement and every thousandth after that, so that a flood does not fill the log. */
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
    const { folder, clock, log } = this.#deps;
    try {
      this.#known = new Map(await loadEndpoints(folder, clock.nowMs()));
    } catch (error) {
      log.error(`state on disk: endpoints is ignored: ${messageOf(error)}`);
    }
  }

  async #save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    const { folder, clock } = this.#deps;
    const sinceMs = clock.nowMs() - clock.monotonicMs();
    const followed = [...this.#followed.values()].flatMap(({ state }) =>
      state.kept.map((one) => ({ ...one, heardMs: one.recent ? one.heardMs + sinceMs : 0 })),
    );
    const others = [...this.#known.values()].flat().map((one) => ({ ...one, heardMs: 0 }));
    try {
      await saveEndpoints(folder, [...followed, ...others]);
    } catch (error) {
      this.#changed = true;
      this.#refuse("the file of endpoints", messageOf(error));
    }
  }
}
