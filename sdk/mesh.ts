/** An application's place in the mesh. */
import type { Server } from "@grpc/grpc-js";
import { AshlarError } from "../core/errors.js";
import { Backoff } from "../runtime/backoff.js";
import type { Clock } from "../runtime/clock.js";
import { type AgentClient, type MeshDescription, openAgentClient } from "./agent-client.js";
import type { ApplicationGrpc } from "./application-grpc.js";
import { type ClientArguments, clientArguments } from "./client-arguments.js";
import { type DirectOptions, DirectReads } from "./direct/direct-reads.js";
import { type EventFeed, type EventOptions, openEventFeed } from "./events.js";
import { openRegistration, type RegistrationHandle, type RegistrationStatus } from "./registration-loop.js";
import { type BoundServer, bindPrivately } from "./serve.js";

export interface ServeOptions {
  /** The name of this instance in `ashlar services`. Default: the proxy's id. */
  readonly instance?: string;
  /** How long to wait for the agent to accept the registration, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number;
  /**
   * Called when the registration is made, when it is lost (the SDK then registers again by itself), and when it is
   * given up.
   */
  readonly onStatus?: (status: RegistrationStatus) => void;
}

export interface LeaveOptions {
  /** How long open calls may take to finish, in milliseconds. Default 30 000. */
  readonly timeoutMs?: number;
}

/** What an application has applied of its service's journal; see `Mesh.applied`. */
export interface Applied {
  readonly position?: number;
  readonly sequence?: number;
}

export interface Mesh {
  /** The proxy's description of itself when the application joined. */
  readonly description: MeshDescription;
  /**
   * Binds `server` to a private Unix socket, registers it with the proxy and keeps the registration: it
   * is renewed when the proxy restarts. Resolves once other services can reach it. Add all services to
   * `server` first, and bind it nowhere else: a TCP port would be a way around the proxy. Fails with
   * `invalid_argument` if the proxy refuses, `unavailable` if it does not answer in time.
   */
  serve(server: Server, options?: ServeOptions): Promise<void>;
  /** Arguments for a client of another service: `new PaymentsClient(...mesh.client("payments"))`. */
  client(service: string): ClientArguments;
  /**
   * The same for a service whose Journal has `reads: direct`: what it marks free of side effects goes to its proxies with a
   * certificate of the application's own, and does not pass the local proxy; all else does, and reads do too while there is
   * no certificate or connection, or policy takes it away. `onStatus` hears which it is.
   */
  direct(service: string, options?: DirectOptions): ClientArguments;
  /**
   * Returns the writes of another service whose Journal names this service among its readers, in the order in which
   * their outcomes became known, and then each new one: `for await (const event of mesh.events("payments", { from }))`.
   * An event may come again after a failure, so store `event.next` together with what you make of the event. The
   * iteration waits while you work, and reconnects by itself; it ends when `signal` aborts or the application leaves.
   * It fails with `denied` (the service is no reader, or no longer), `stale` (the position is no longer kept) and
   * `invalid_argument`.
   */
  events(service: string, options?: EventOptions): EventFeed;
  /**
   * Tells the proxy what this application, which serves, has applied of the journal of its own service, so that reads
   * that name a write can be answered here. `position`: all writes whose outcome is at or before this position;
   * `sequence`: this one write. An event of `events` has both: `mesh.applied(event)`. Call it once the write can be
   * read here, and at the start with what is known then (`{ position: from - 1 }`). It returns at once; the report is
   * repeated after the proxy was away.
   */
  applied(what: Applied): void;
  /** Asks the proxy again for its description, including whether it is ready. Fails with `unavailable`. */
  describe(): Promise<MeshDescription>;
  /**
   * Stops taking calls, lets open ones finish, stops the server, and deregisters. No call is lost, because the proxy is
   * taken out of routing before the server stops. Returns true if nothing had to be cancelled. May be called again.
   */
  leave(options?: LeaveOptions): Promise<boolean>;
}

export interface MeshSettings {
  readonly service: string;
  readonly agent: string;
  readonly timeoutMs: number;
  readonly grpc: ApplicationGrpc;
}

const serveTimeoutMs = 10_000;
const leaveTimeoutMs = 30_000;
const describeTimeoutMs = 5_000;
const reregisterDelay = { msMin: 50, msMax: 5_000 };

/**
 * Asks the agent for its description, and returns the application's place in the mesh if the proxy serves `service`.
 */
export async function enterMesh(clock: Clock, settings: MeshSettings): Promise<Mesh> {
  const agent = openAgentClient(settings.agent, clock);
  try {
    const description = await agent.describe(settings.timeoutMs);
    if (description.service !== settings.service) {
      const other = `the proxy at ${agent.target} serves ${JSON.stringify(description.service)}`;
      const remedy = "is ASHLAR_AGENT the socket of another service's proxy?";
      throw new AshlarError("invalid_argument", `${other}, not ${JSON.stringify(settings.service)}: ${remedy}`);
    }
    return new JoinedMesh(agent, clock, description, settings.grpc);
  } catch (error) {
    agent.close();
    throw error;
  }
}

class JoinedMesh implements Mesh {
  readonly description: MeshDescription;
  readonly #agent: AgentClient;
  readonly #clock: Clock;
  readonly #grpc: ApplicationGrpc;
  #serving = false;
  #bound: BoundServer | undefined;
  #registration: RegistrationHandle | undefined;
  #direct: DirectReads | undefined;
  #leaving: Promise<boolean> | undefined;
  readonly #left = new AbortController();

  constructor(agent: AgentClient, clock: Clock, description: MeshDescription, grpc: ApplicationGrpc) {
    this.#grpc = grpc;
    this.#agent = agent;
    this.#clock = clock;
    this.description = description;
  }

  async serve(server: Server, options: ServeOptions = {}): Promise<void> {
    this.#mustBeIn();
    if (this.#serving)
      throw new AshlarError("exists", "this application serves already: add all services to one server");
    this.#serving = true;
    try {
      const bound = await bindPrivately(this.#grpc, server, this.description.socketDir);
      this.#bound = bound;
      const deps = {
        agent: this.#agent,
        clock: this.#clock,
        backoff: new Backoff(reregisterDelay),
        onStatus: options.onStatus ?? (() => {}),
      };
      const { service } = this.description;
      const registration = { service, address: bound.address, instance: options.instance ?? "" };
      this.#registration = openRegistration(deps, registration);
      await this.#registration.registered(options.timeoutMs ?? serveTimeoutMs);
    } catch (error) {
      await this.#bound?.shutdown(0);
      this.#bound = undefined;
      this.#registration = undefined;
      this.#serving = false;
      throw error;
    }
  }

  client(service: string): ClientArguments {
    this.#mustBeIn();
    return clientArguments(this.#grpc, this.description.outbound, service);
  }

  direct(service: string, options: DirectOptions = {}): ClientArguments {
    this.#mustBeIn();
    this.#direct ??= new DirectReads({
      ...{ agent: this.#agent, clock: this.#clock, grpc: this.#grpc, left: this.#left.signal },
      outbound: this.description.outbound,
    });
    return this.#direct.client(service, options);
  }

  events(service: string, options: EventOptions = {}): EventFeed {
    this.#mustBeIn();
    const { outbound } = this.description;
    return openEventFeed({ clock: this.#clock, outbound, left: this.#left.signal }, service, options);
  }

  applied({ position = 0, sequence = 0 }: Applied): void {
    this.#mustBeIn();
    for (const [name, value] of Object.entries({ position, sequence }))
      if (!Number.isSafeInteger(value) || value < 0)
        throw new AshlarError("invalid_argument", `applied: ${name} is a whole number, 0 or more`);
    if (this.#registration === undefined)
      throw new AshlarError("stale", "applied: this application does not serve; call serve() first");
    this.#registration.applied(position, sequence);
  }

  describe(): Promise<MeshDescription> {
    this.#mustBeIn();
    return this.#agent.describe(describeTimeoutMs);
  }

  leave(options: LeaveOptions = {}): Promise<boolean> {
    this.#leaving ??= this.#leave(options.timeoutMs ?? leaveTimeoutMs);
    return this.#leaving;
  }

  async #leave(timeoutMs: number): Promise<boolean> {
    this.#left.abort();
    const endMs = this.#clock.monotonicMs() + timeoutMs;
    await this.#registration?.leave(timeoutMs);
    // the agent said that no call is left, or could not say; the server itself knows
    const leftMs = Math.max(0, endMs - this.#clock.monotonicMs());
    const clean = (await this.#bound?.shutdown(leftMs)) ?? true;
    this.#registration?.close();
    this.#agent.close();
    return clean;
  }

  #mustBeIn(): void {
    if (this.#leaving !== undefined)
      throw new AshlarError("unavailable", "this application has left the mesh: join again");
  }
}
