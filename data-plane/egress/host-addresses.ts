/** The addresses of one external host, resolved again when the DNS answer expires. */
import { isIP } from "node:net";
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { plainIp } from "../../runtime/networks.js";
import { type DnsResolver, resolveHost } from "./resolve-host.js";

export interface HostAddressesDeps {
  readonly resolver: DnsResolver;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when the addresses have changed. */
  onChange(): void;
  /** Returns why no call may go to an address, or undefined. */
  whyNot(address: string): string | undefined;
}

const againMs = { min: 1000, max: 30_000 } as const;
/** The milliseconds for which addresses are used that cannot be resolved again. */
const staleMsMax = 600_000;

export class HostAddresses {
  readonly #deps: HostAddressesDeps;
  readonly #host: string;
  readonly #name: string;
  readonly #stop = new AbortController();
  #all: readonly string[] = [];
  #problem = "it is not resolved yet";
  #first: Promise<void> | undefined;
  #failures = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  /** What was found last, refused addresses included. */
  #found: readonly string[] = [];
  /** The refused addresses, as they were last logged. */
  #told = "";

  /** `name`: the egress in policy. Nothing is resolved before the first call of `ready`. */
  constructor(deps: HostAddressesDeps, name: string, host: string) {
    this.#deps = deps;
    this.#name = name;
    this.#host = host.replace(/^\[(.*)\]$/, "$1");
    if (isIP(this.#host) !== 0) {
      this.#first = Promise.resolve();
      this.#take([plainIp(this.#host)]);
    }
  }

  /** The addresses for calls, as the same list until it changes. */
  get addresses(): readonly string[] {
    return this.#all;
  }

  /** Why there are no addresses; "" if there are some. */
  get problem(): string {
    return this.#problem;
  }

  /** Resolves when the host was resolved, or could not be, for the first time. */
  ready(): Promise<void> {
    this.#first ??= this.#follow();
    return this.#first;
  }

  close(): void {
    this.#stop.abort();
  }

  /** Asks `whyNot` again: what listens where has changed. */
  judgeAgain(): void {
    if (this.#found.length > 0) this.#take(this.#found);
  }

  /** Resolves after the first answer, and continues to ask. */
  async #follow(): Promise<void> {
    const waitMs = await this.#ask();
    void this.#goOn(waitMs);
  }

  async #goOn(firstMs: number): Promise<void> {
    const { signal } = this.#stop;
    for (let waitMs = firstMs; ; waitMs = await this.#ask()) {
      await this.#deps.clock.sleep(waitMs, signal);
      if (signal.aborted) return;
    }
  }

  /** Returns after how many milliseconds to ask again. */
  async #ask(): Promise<number> {
    const { resolver, clock, log } = this.#deps;
    try {
      const { addresses, ttlMs } = await resolveHost(resolver, this.#host);
      this.#failures = 0;
      this.#heardMs = clock.monotonicMs();
      this.#take(addresses);
      return ttlMs;
    } catch (error) {
      this.#failures++;
      // a name that no longer exists is dropped at once; while no server answers, the known addresses are kept
      const isKept = !isAshlarError(error, "not_found") && clock.monotonicMs() - this.#heardMs < staleMsMax;
      if (!isKept) {
        this.#found = [];
        this.#have([], messageOf(error));
      }
      if (this.#failures === 1)
        log.warn("the address of an egress cannot be resolved", {
          egress: this.#name,
          error: messageOf(error),
          isKept,
        });
      return Math.min(againMs.max, againMs.min * 2 ** (this.#failures - 1));
    }
  }

  /** I4: an address inside the mesh or its network gets no call, whoever claims that it is the host's. */
  #take(found: readonly string[]): void {
    this.#found = found;
    const refused: string[] = [];
    const good = found.filter((address) => {
      const why = this.#deps.whyNot(address);
      if (why !== undefined) refused.push(`${address} ${why}`);
      return why === undefined;
    });
    const told = refused.join("; ").slice(0, 1000);
    if (told !== "" && told !== this.#told)
      this.#deps.log.warn("addresses of an egress point inside and get no calls", {
        egress: this.#name,
        refused: told,
      });
    this.#told = told;
    this.#have(good, good.length > 0 ? "" : `${this.#host} is refused: ${told}`);
  }

  #have(addresses: readonly string[], problem: string): void {
    this.#problem = problem;
    if (addresses.length === this.#all.length && addresses.every((one, index) => one === this.#all[index])) return;
    this.#all = addresses;
    this.#deps.onChange();
  }
}
