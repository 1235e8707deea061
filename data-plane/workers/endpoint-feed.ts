import { AshlarError } from "../../core/errors.js";
import type { FollowedEndpoints } from "../ports.js";
import type { Crew } from "./crew.js";

const followingMax = 1000;

/** Tells each worker the endpoints of the services that the worker follows. */
export class EndpointFeed {
  readonly #crew: Pick<Crew, "briefed" | "say">;
  readonly #following = new Map<number, Set<string>>();
  readonly #changed = new Set<string>();

  constructor(crew: Pick<Crew, "briefed" | "say">) {
    this.#crew = crew;
  }

  /** Notes that a worker runs and follows no service yet. */
  brief(worker: number): void {
    this.#following.set(worker, new Set());
  }

  gone(worker: number): void {
    this.#following.delete(worker);
  }

  /** Resolves when the first list was sent; later lists follow. Fails with `limit` at a worker's thousandth service. */
  async follow(worker: number, service: string, endpoints: FollowedEndpoints): Promise<void> {
    const before = this.#following.get(worker);
    await endpoints.ready(service);
    const following = this.#following.get(worker);
    if (following === undefined || following !== before) return; // another process has taken the worker's place
    if (following.size >= followingMax)
      throw new AshlarError("limit", `a worker follows ${followingMax} services already`);
    following.add(service);
    this.#crew.say(worker, { kind: "endpoints", service, endpoints: endpoints.endpoints(service) });
  }

  /** Sends several changes of one turn of the event loop as one message. */
  changed(service: string, endpoints: FollowedEndpoints): void {
    if (this.#changed.size === 0) setImmediate(() => this.#tell(endpoints));
    this.#changed.add(service);
  }

  #tell(from: FollowedEndpoints): void {
    for (const service of this.#changed) {
      const endpoints = from.endpoints(service);
      for (const worker of this.#crew.briefed)
        if (this.#following.get(worker)?.has(service))
          this.#crew.say(worker, { kind: "endpoints", service, endpoints });
    }
    this.#changed.clear();
  }
}
