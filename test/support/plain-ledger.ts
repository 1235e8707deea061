/** A ledger of plain arrays that obeys the rules of the logs, for tests of the code that uses a ledger. */

import type { Ledger, RecordLog } from "../../control-plane/store/ledger.js";
import { mayActivate } from "../../core/activation.js";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Activation, Revision, Signed, Trust } from "../../core/model.js";
import { mayPublish } from "../../core/revision.js";
import { mayPlan } from "../../core/rollout/cohort.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import { mayTrust } from "../../core/trust.js";

export class PlainLog<Body> implements RecordLog<Body> {
  readonly #records: Signed<Body>[] = [];
  readonly #listeners = new Set<(record: Signed<Body>) => void>();
  readonly #mayFollow: (head: Signed<Body> | undefined, next: Body) => boolean;
  /** Runs before each append; lets a test put somebody else first, or fail. */
  beforeAppend: () => void | Promise<void> = () => {};

  constructor(mayFollow: (head: Signed<Body> | undefined, next: Body) => boolean) {
    this.#mayFollow = mayFollow;
  }

  head(): Signed<Body> | undefined {
    return this.#records.at(-1);
  }

  find(key: number): Signed<Body> | undefined {
    return this.#records[key - 1];
  }

  list(): readonly Signed<Body>[] {
    return [...this.#records];
  }

  conflicts() {
    return [];
  }

  blocking() {
    return undefined;
  }

  findSigned(digest: Digest): Signed<Body> | undefined {
    return this.#records.find((one) => one.digest === digest);
  }

  settle<Result>(act: () => Promise<Result>): Promise<Result> {
    return act();
  }

  lack(): string | undefined {
    return undefined;
  }

  has(digest: Digest): boolean {
    return this.#records.some((record) => record.digest === digest);
  }

  /** Returns 0: this ledger loses nothing, so nothing is recovered. */
  async recover(): Promise<number> {
    return 0;
  }

  ahead(): undefined {
    return undefined;
  }

  missing(): readonly [] {
    return [];
  }

  async append(next: Signed<Body>): Promise<void> {
    const hook = this.beforeAppend;
    this.beforeAppend = () => {};
    await hook();
    if (!this.#mayFollow(this.head(), next.body)) throw new AshlarError("conflict", "somebody else was first");
    this.#records.push(next);
    for (const listener of [...this.#listeners]) listener(next);
  }

  onRecord(listener: (record: Signed<Body>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export class PlainLedger implements Ledger {
  readonly revisions = new PlainLog<Revision>(mayPublish);
  readonly activations = new PlainLog<Activation>(mayActivate);
  readonly rollouts = new PlainLog<Rollout>(mayPlan);
  readonly trust = new PlainLog<Trust>(mayTrust);
  readonly stored = new Map<Digest, Uint8Array>();
  readonly blobs = {
    put: async (bytes: Uint8Array) => {
      const digest = digestOf(bytes);
      this.stored.set(digest, bytes);
      return digest;
    },
    has: (digest: Digest) => this.stored.has(digest),
    get: async (digest: Digest) => this.stored.get(digest),
  };
  reported: string[] = [];

  problems(): readonly string[] {
    return this.reported;
  }

  async close(): Promise<void> {}
}
