/** The policy that a worker judges by. The first process sends it, and the worker parses and compiles it. */
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { parseSnapshotList } from "../../core/wire/units.js";
import type { Clock } from "../../runtime/clock.js";
import type { CallPolicy, EvaluatedPolicy, ShadowPolicy } from "../ports.js";
import { type EvaluableRevision, HeldPolicy, type HeldUnit } from "../sync/held-revision.js";
import { giveBackAfter } from "../sync/large-policies.js";
import { listen } from "../sync/policy-view.js";
import { compileHeld } from "../sync/prepare.js";
import { findUnit, yieldTurn } from "../sync/revision-shelf.js";
import type { Question, SentShadow, SentUnit, WorkerTask } from "./messages.js";

interface WorkerRevision extends EvaluableRevision {
  readonly units: Map<string, HeldUnit>;
  /** Resolves when all units that came with the revision are compiled. Rejects if one is not acceptable. */
  readonly ready: Promise<void>;
}

export interface WorkerPolicyDeps {
  readonly mesh: string;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Asks the first process a question. Fails with its error. */
  ask(question: Question): Promise<boolean>;
}

export class WorkerPolicy implements CallPolicy {
  readonly #deps: WorkerPolicyDeps;
  readonly #revisions = new Map<Digest, WorkerRevision>();
  readonly #listeners = new Set<(policy: EvaluatedPolicy) => void>();
  readonly #heard = new Map<string, Promise<unknown>>();
  /** Compiles and drops revisions one after the other, because the next one may need units of the one before. */
  #compiling: Promise<void> = Promise.resolve();
  current: HeldPolicy<WorkerRevision> | undefined;
  seenEpoch = 0;
  #ordered: SentShadow | undefined;
  #shadow: ShadowPolicy | undefined;
  #freshMs: number | undefined;

  constructor(deps: WorkerPolicyDeps) {
    this.#deps = deps;
  }

  /**
   * Milliseconds since the last freshness statement. The first process sends it about every second, and in between it
   * grows.
   */
  get freshnessAgeMs(): number {
    return this.#freshMs === undefined ? Number.POSITIVE_INFINITY : this.#deps.clock.monotonicMs() - this.#freshMs;
  }

  /** The shadow candidate. It is evaluated only while calls are judged by the epoch that started the shadow. */
  get shadow(): ShadowPolicy | undefined {
    return this.#shadow?.policy.epoch === this.current?.epoch ? this.#shadow : undefined;
  }

  onSwitch(listener: (policy: EvaluatedPolicy) => void): () => void {
    return listen(this.#listeners, listener);
  }

  async useService(service: string): Promise<boolean> {
    if (this.current === undefined) throw new AshlarError("unavailable", "no revision is evaluated yet");
    if (!(await this.#deps.ask({ kind: "use-service", service }))) return false;
    const { current } = this;
    if (current?.has(service) && current.unit(service) === undefined)
      throw new AshlarError("unavailable", `the policy of ${service} did not reach this worker`);
    return current?.has(service) ?? false;
  }

  /** Asks the first process about a peer's epoch. All calls that bring the epoch share one question. */
  async hearOfEpoch(epoch: number, peer: string): Promise<void> {
    if (!Number.isSafeInteger(epoch) || epoch <= this.seenEpoch) return;
    const key = `${peer} ${epoch}`;
    let heard = this.#heard.get(key);
    if (heard === undefined) {
      heard = this.#deps
        .ask({ kind: "hear-of-epoch", epoch, peer })
        .catch(() => false) // too many questions are open, so no call waits
        .finally(() => this.#heard.delete(key));
      this.#heard.set(key, heard);
    }
    await heard;
  }

  // === What the first process says ===

  heardFresh(ageMs: number): void {
    this.#freshMs = this.#deps.clock.monotonicMs() - ageMs;
  }

  /** Resolves when the revision is held compiled. Fails if a part of it is not acceptable. */
  prepare(sent: WorkerTask & { readonly kind: "prepare" }): Promise<void> {
    const known = this.#revisions.get(sent.digest);
    if (known !== undefined) return known.ready;
    const list = parseSnapshotList(sent.list.bytes, sent.list.digest);
    giveBackAfter(list);
    const units = new Map<string, HeldUnit>();
    const ready = this.#compiling.then(() => this.#compile(sent.units, units));
    this.#compiling = ready.catch(() => void this.#revisions.delete(sent.digest)); // the revision may be sent again
    const revision = { digest: sent.digest, body: { number: sent.number } };
    this.#revisions.set(sent.digest, { revision, list, units, ready });
    return ready;
  }

  addUnit(revision: Digest, unit: SentUnit): void {
    this.#revisions.get(revision)?.units.set(unit.name, this.#compileOne(unit));
  }

  drop(revision: Digest): void {
    this.#compiling = this.#compiling.then(() => void this.#revisions.delete(revision));
  }

  /** Resolves when calls are judged by this revision, or by a later epoch. Fails if the revision is not held. */
  async switchTo(epoch: number, digest: Digest): Promise<void> {
    const revision = this.#revisions.get(digest);
    if (revision === undefined) throw new AshlarError("internal", `a switch to ${digest}, which is not held here`);
    await revision.ready;
    if (this.current !== undefined && this.current.epoch >= epoch) return;
    const policy = new HeldPolicy(epoch, revision);
    this.current = policy;
    for (const listener of this.#listeners) listener(policy);
  }

  /** Sets the candidate of the newest order. It is evaluated once it is held compiled. Never fails. */
  async orderShadow(order: SentShadow | undefined): Promise<void> {
    this.#ordered = order;
    this.#shadow = undefined;
    const revision = order && this.#revisions.get(order.revision);
    if (order === undefined || revision === undefined) return;
    try {
      await revision.ready;
    } catch {
      return; // the first process was told the reason
    }
    if (this.#ordered === order) this.#shadow = { policy: new HeldPolicy(order.epoch, revision), share: order.share };
  }

  async #compile(sent: readonly SentUnit[], units: Map<string, HeldUnit>): Promise<void> {
    for (const unit of sent) {
      await yieldTurn();
      if (!units.has(unit.name)) units.set(unit.name, this.#compileOne(unit));
    }
  }

  #compileOne({ name, digest, bytes }: SentUnit): HeldUnit {
    const known = findUnit(this.#revisions.values(), digest);
    if (known?.compiled.name === name) return known;
    if (bytes === undefined) throw new AshlarError("not_found", `unit ${name} did not come, and is not held here`);
    return compileHeld(name, digest, bytes, this.#deps.mesh);
  }
}
