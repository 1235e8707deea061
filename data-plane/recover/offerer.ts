/**
 * Notices that a control plane knows less of the logs than this proxy has seen, by the control plane's own signed
 * statements, or that two records with one number were signed (decision 0031). It then offers what this proxy holds.
 * Many proxies notice at once, so each waits a random time; later ones add what the first did not have.
 */

import { messageOf } from "../../core/errors.js";
import type { Freshness, Signed } from "../../core/model.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { SeenHeads } from "./kept-records.js";

export interface OffererDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  heads(): SeenHeads;
  /** Offers to every control plane. Returns how many records and units were given. */
  offer(signal: AbortSignal): Promise<number>;
}

const firstMs = 2000;
const laterMs = { min: 5000, max: 60_000 };
const signersMax = 16;

export class Offerer {
  readonly #deps: OffererDeps;
  readonly #signal: AbortSignal;
  readonly #backoff: Backoff;
  /** By signing key: whether its last statement is behind what this proxy has seen. */
  readonly #behind = new Map<string, boolean>();
  /** The number of contested records to be offered. Below: how many were offered. */
  #noticed = 0;
  #offered = 0;
  #dueMs = Number.POSITIVE_INFINITY;
  #wake = new AbortController();
  #said = "";
  readonly stopped: Promise<void>;

  /** Runs until `signal` aborts. */
  constructor(deps: OffererDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#backoff = new Backoff({ msMin: firstMs, msMax: laterMs.max }, deps.random);
    onAbort(signal, () => this.#wake.abort());
    this.stopped = this.#run();
  }

  /** Reads a verified freshness statement and schedules an offer if the statement is behind. */
  hear({ kid, body }: Signed<Freshness>): void {
    const heads = this.#deps.heads();
    if (heads.contested > this.#noticed) this.#due(this.#deps.random() * firstMs);
    this.#noticed = heads.contested;
    const before = this.#behind.get(kid) ?? false;
    const behind = isBehind(body, heads);
    if (this.#behind.size >= signersMax) this.#behind.clear();
    this.#behind.set(kid, behind);
    if (behind === before) return;
    if (behind) this.#due(this.#deps.random() * firstMs);
    else this.later(); // other proxies gave back what was missing
  }

  /** Schedules one offer within a minute and drops a pending one, since more gaps may have to be filled. */
  later(): void {
    if (this.#isWanted()) return; // the pending offer comes sooner
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#due(laterMs.min + this.#deps.random() * (laterMs.max - laterMs.min));
  }

  #isWanted(): boolean {
    return this.#noticed > this.#offered || [...this.#behind.values()].includes(true);
  }

  #due(inMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, this.#deps.clock.monotonicMs() + inMs);
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#signal.aborted) {
      const waitMs = this.#dueMs - clock.monotonicMs();
      if (waitMs > 0) {
        this.#wake = new AbortController();
        if (this.#signal.aborted) return;
        await clock.sleep(Math.min(waitMs, laterMs.max), this.#wake.signal);
        continue;
      }
      this.#dueMs = Number.POSITIVE_INFINITY;
      await this.#offer();
    }
  }

  async #offer(): Promise<void> {
    const { log, offer } = this.#deps;
    const noticed = this.#noticed;
    try {
      const given = await offer(this.#signal);
      if (given > 0) log.warn("gave a control plane records that it lacked", { given });
      this.#said = "";
      this.#offered = noticed;
    } catch (error) {
      const why = messageOf(error);
      if (!this.#signal.aborted && why !== this.#said)
        log.warn("cannot offer this proxy's records to a control plane", { why });
      this.#said = why;
    }
    if (this.#isWanted()) this.#due(this.#backoff.nextMs());
    else this.#backoff.reset();
  }
}

function isBehind(statement: Freshness, { epoch, trustSequence, revision }: SeenHeads): boolean {
  return statement.epoch < epoch || statement.trustSequence < trustSequence || statement.revisionNumber < revision;
}
