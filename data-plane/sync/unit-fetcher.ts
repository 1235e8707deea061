/** Fetches units of services outside the prepare set at their first use, within a bound. */
import type { Digest } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { type CalledServices, calledWithin, noteCalled } from "./called-services.js";
import { findUnitDigest, type HeldPolicy, type HeldRevision } from "./held-revision.js";
import { judgeFailure } from "./prepare.js";
import type { RevisionShelf } from "./revision-shelf.js";

export interface UnitFetcherDeps {
  readonly shelf: RevisionShelf;
  readonly clock: Clock;
  policy(): HeldPolicy | undefined;
  connected(): boolean;
  /** Called when a unit was fetched. */
  fetched(digest: Digest, bytes: Uint8Array): void;
  /** Called when a call was noted. `isNew`: its service was not among the called services before. */
  calledChanged(isNew: boolean): void;
}

const useServiceMs = 2000;
const useAgainMs = 100;

export class UnitFetcher {
  readonly #deps: UnitFetcherDeps;
  readonly #fetches = new Map<Digest, Promise<void>>();

  readonly #always: readonly string[];
  #called: CalledServices;

  /** `always`: the services whose units are held in any case. */
  constructor(deps: UnitFetcherDeps, always: readonly string[], called: CalledServices) {
    this.#deps = deps;
    this.#always = always;
    this.#called = called;
  }

  get called(): CalledServices {
    return this.#called;
  }

  /** Returns the prepare set without the mesh's own unit. */
  prepareSet(): readonly string[] {
    return [...this.#always, ...calledWithin(this.#called, this.#deps.clock.nowMs())];
  }

  /** Notes a call, and makes sure that the evaluated policy holds the unit. See PolicyView.useService. */
  async use(service: string): Promise<boolean> {
    const policy = this.#deps.policy();
    if (policy === undefined) throw new AshlarError("unavailable", "no revision is evaluated yet");
    if (!policy.has(service)) return false;
    this.#note(service);
    if (policy.unit(service) !== undefined) return true;
    await this.#obtainInTime(service);
    return this.#deps.policy()?.has(service) ?? false;
  }

  #note(service: string): void {
    const called = noteCalled(this.#called, service, this.#deps.clock.nowMs());
    if (called === this.#called) return;
    const isNew = !this.#called.has(service);
    this.#called = called;
    this.#deps.calledChanged(isNew);
    if (isNew) this.#spread(service);
  }

  async #obtainInTime(service: string): Promise<void> {
    const { clock } = this.#deps;
    const bound = new AbortController();
    const late = clock.sleep(useServiceMs, bound.signal).then(() => false);
    try {
      const inTime = await Promise.race([this.#obtain(service, bound.signal).then(() => true), late]);
      if (inTime) return;
      throw new AshlarError("unavailable", `the policy of ${service} could not be had within ${useServiceMs} ms`);
    } finally {
      bound.abort();
    }
  }

  /** Adds the unit to every held revision, so that a switch or a rollback needs no fetch for it. */
  #spread(service: string): void {
    for (const held of this.#deps.shelf.all()) this.#fetch(held, service).catch(() => {}); // fetched at its first use
  }

  /** Adds the units of services that came into use while `held` was prepared. Never rejects. */
  async complete(held: HeldRevision): Promise<void> {
    await Promise.allSettled(this.prepareSet().map((service) => this.#fetch(held, service)));
  }

  /** Fetches until whatever is evaluated by then holds the unit. */
  async #obtain(service: string, signal: AbortSignal): Promise<void> {
    const { clock, policy: current, connected } = this.#deps;
    while (!signal.aborted) {
      const policy = current();
      if (policy === undefined || !policy.has(service) || policy.unit(service) !== undefined) return;
      try {
        await this.#fetch(policy.held, service);
      } catch (error) {
        if (!connected() || judgeFailure(error).kind === "unacceptable")
          throw new AshlarError("unavailable", `the policy of ${service}: ${messageOf(error)}`, { cause: error });
        await clock.sleep(useAgainMs, signal);
      }
    }
  }

  /** Adds a unit to a held revision; one fetch of a digest is shared. */
  #fetch(held: HeldRevision, service: string): Promise<void> {
    const digest = findUnitDigest(held.list, service);
    if (digest === undefined || held.units.has(service)) return Promise.resolve();
    const running = this.#fetches.get(digest);
    if (running !== undefined) return running.then(() => this.#fetch(held, service));
    const fetching = this.#fetchNow(held, service, digest).finally(() => this.#fetches.delete(digest));
    this.#fetches.set(digest, fetching);
    return fetching;
  }

  async #fetchNow(held: HeldRevision, service: string, digest: Digest): Promise<void> {
    const { unit, bytes } = await this.#deps.shelf.prepareUnit(service, digest);
    this.#deps.shelf.addUnit(held, service, unit);
    if (bytes !== undefined) this.#deps.fetched(digest, bytes);
  }
}
