/**
 * Runs the sync machine: follows the logs, saves floors before they are acted on, prepares revisions, switches one
 * pointer, and keeps the last good state on disk. A call that is judged waits for nothing here except `useService` (the
 * first use of a service) and `hearOfEpoch`, which are bounded.
 */
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Activation, PreparedRevision, Signed, Trust } from "../../core/model.js";
import { orderValidMsMax } from "../../core/wire/prepare-orders.js";
import type { KeyRange } from "./chain-state.js";
import { EpochHints } from "./epoch-hints.js";
import { followLogs, lookAgainMs } from "./follow-logs.js";
import { HeldPolicy } from "./held-revision.js";
import { LogReader } from "./log-reader.js";
import { judgeFailure } from "./prepare.js";
import { RetryTimer } from "./retry-timer.js";
import { RevisionShelf } from "./revision-shelf.js";
import type { RecordOrigin } from "./revision-source.js";
import { lastGoodOf, StateWriter } from "./state-writer.js";
import type { SyncBegin, SyncLoopDeps, SyncLoopOptions } from "./sync-deps.js";
import type { ChainName, SyncEffect, SyncEvent, SyncState } from "./sync-model.js";
import { clockProblems, syncProblems } from "./sync-problems.js";
import { seenEpochOf, startSync, step, waitingAt } from "./sync-state.js";
import { UnitFetcher } from "./unit-fetcher.js";

export class SyncLoop {
  readonly #deps: SyncLoopDeps;
  readonly #options: SyncLoopOptions;
  readonly shelf: RevisionShelf;
  readonly units: UnitFetcher;
  readonly #reader: LogReader;
  readonly #events: SyncEvent[] = [];
  readonly #retries: RetryTimer;
  readonly #writer: StateWriter;
  readonly #stop = new AbortController();
  readonly hints: EpochHints;
  readonly switchListeners = new Set<(policy: HeldPolicy) => void>();
  readonly trustListeners = new Set<() => void>();
  readonly changeListeners = new Set<() => void>();
  #state: SyncState;
  #policy: HeldPolicy | undefined;
  #saving: Promise<void> = Promise.resolve();
  #draining = false;
  #orderedMs = 0;
  #floorTrouble: string | undefined;
  #prepareTrouble: string | undefined;
  lagMs: number;

  constructor(deps: SyncLoopDeps, options: SyncLoopOptions, begin: SyncBegin) {
    this.#deps = deps;
    this.#options = options;
    this.#retries = new RetryTimer(deps, () => this.#send({ kind: "retry" }), this.#stop.signal);
    this.#reader = new LogReader({
      ...deps,
      waitingAt: (log) => waitingAt(this.#state, log),
      receive: (origin, bytes) => this.receive(origin, bytes),
      signal: this.#stop.signal,
    });
    this.shelf = new RevisionShelf(
      {
        ...deps,
        services: () => this.units.prepareSet(),
        unknownKey: () => this.#reader.unknownKey(),
      },
      options.mesh,
    );
    this.units = new UnitFetcher(
      {
        shelf: this.shelf,
        clock: deps.clock,
        policy: () => this.#policy,
        connected: () => deps.source.connected,
        fetched: (digest, bytes) => this.#writer.fetched(digest, bytes),
        calledChanged: (isNew) => this.#writer.calledChanged(isNew),
      },
      [options.service, ...options.upstreams],
      begin.called,
    );
    this.#writer = new StateWriter({
      ...deps,
      signal: this.#stop.signal,
      held: () => this.shelf.all(),
      lastGood: () => lastGoodOf(this.#state, this.lagMs, (digest) => this.shelf.find(digest) !== undefined),
      called: () => this.units.called,
    });
    this.hints = new EpochHints({
      clock: deps.clock,
      known: () => Math.min(this.seenEpoch, this.#state.saved.epoch),
      read: () => this.#reader.readHead("activations"),
    });
    for (const held of begin.held) this.shelf.hold(held);
    for (const record of begin.revisions) this.shelf.keepRecord(record);
    this.lagMs = begin.lagMs;
    const first = startSync(begin.start);
    this.#state = first.state;
    const evaluating = begin.start.evaluating;
    const held = evaluating && this.shelf.findFor(evaluating.body, first.state.proxyId);
    if (evaluating && held) this.#policy = new HeldPolicy(evaluating.body.epoch, held);
    for (const effect of first.effects) this.#perform(effect);
  }

  get state(): SyncState {
    return this.#state;
  }

  get policy(): HeldPolicy | undefined {
    return this.#policy;
  }

  get seenEpoch(): number {
    return seenEpochOf(this.#state);
  }

  /** Resolves when the floor that is being written is on disk, or its write failed. */
  whenSaved(): Promise<void> {
    return this.#saving;
  }

  /** Milliseconds since the newest valid freshness statement was signed. Infinity: there was none yet. */
  get freshnessAgeMs(): number {
    return this.#deps.judge.freshnessAgeMs;
  }

  /** Returns the present problems, one line each. */
  problems(): readonly string[] {
    const problems = [...syncProblems(this.#state), ...clockProblems(this.#deps.judge)];
    const trouble = this.#floorTrouble ?? this.#writer.trouble;
    if (trouble !== undefined) problems.push(`state on disk: ${trouble}`);
    if (this.#prepareTrouble !== undefined) problems.push(this.#prepareTrouble);
    if (this.freshnessAgeMs > 3 * this.#options.freshnessIntervalMs)
      problems.push("no fresh statement about the heads of the logs has come: what is evaluated may be out of date");
    return problems;
  }

  /** Begins to follow the logs. */
  start(): void {
    const receive = (origin: RecordOrigin, bytes: Uint8Array): void => {
      if (this.receive(origin, bytes)) this.hints.heard();
    };
    const [catchUp, lookAgain] = [() => this.catchUp(), () => this.#lookAgain()];
    followLogs({ ...this.#deps, receive, catchUp, lookAgain }, this.#stop.signal);
  }

  /** Stops, and writes what is not on disk yet. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#writer.write();
    await this.#saving;
    await this.#deps.cache.close();
  }

  /** Judges a record from any source (`answeredAtMs` as for `RecordJudge.judge`). Returns whether it is valid. */
  receive(origin: RecordOrigin, bytes: Uint8Array, answeredAtMs?: number): boolean {
    const event = this.#deps.judge.judge(origin, bytes, answeredAtMs);
    if (event === "unknown-key" && origin !== "trust") this.#reader.unknownKey();
    if (event === undefined || event === "unknown-key") return false;
    if (event.kind === "revision") this.shelf.keepRecord(event.record);
    if (event.kind === "ordered") this.#orderedMs = this.#deps.clock.monotonicMs();
    this.#send(event);
    return true;
  }

  /** Reads the heads of all logs, trust first, and retries what failed. */
  async catchUp(): Promise<void> {
    this.hints.heard();
    await this.#reader.readHeads();
    this.#send({ kind: "retry" });
  }

  // === The machine's effects ===

  #send(event: SyncEvent): void {
    this.#events.push(event);
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const { state, effects } = step(this.#state, next);
        this.#state = state;
        for (const effect of effects) this.#perform(effect);
      }
    } finally {
      this.#draining = false;
    }
  }

  #perform(effect: SyncEffect): void {
    switch (effect.kind) {
      case "save-floor":
        this.#saving = this.#saveFloor(effect);
        return;
      case "read-head":
        void this.#reader.readHead(effect.log);
        return;
      case "read-range":
        void this.#readRange(effect.log, effect.range);
        return;
      case "prepare":
        void this.#prepare(effect.revision);
        return;
      case "drop":
        this.shelf.drop(effect.digest);
        this.#writer.dropped();
        return;
      case "switch":
        this.#switch(effect.activation);
        return;
      case "trust-changed":
        this.#trust(effect.trust);
        return;
      case "report":
        for (const listener of this.changeListeners) this.#tell(listener);
        return;
      case "alarm":
        this.#deps.judge.say("error", effect.message);
        return;
    }
  }

  async #saveFloor(effect: SyncEffect & { readonly kind: "save-floor" }): Promise<void> {
    try {
      await this.#deps.cache.saveFloor(effect.activations, effect.trust);
      this.#floorTrouble = undefined;
      this.#send({ kind: "floor-saved", floor: effect.floor });
    } catch (error) {
      this.#floorTrouble = `${messageOf(error)}; nothing newer is evaluated until epoch ${effect.floor.epoch} is on disk`;
      this.#deps.judge.say("error", `state on disk: ${this.#floorTrouble}`);
      this.#send({ kind: "floor-failed" });
      this.#retries.later();
    }
  }

  async #readRange(log: ChainName, range: KeyRange): Promise<void> {
    if (await this.#reader.readRange(log, range)) this.#send({ kind: "range-read", log, range });
    else this.#retries.later();
  }

  async #prepare(ref: PreparedRevision): Promise<void> {
    try {
      const { held, blobs } = await this.shelf.prepare(ref);
      await this.units.complete(held);
      this.#retries.reset();
      this.#prepareTrouble = undefined;
      this.shelf.hold(held);
      this.#writer.add(blobs);
      this.#send({ kind: "prepared", revision: ref });
      void this.#writer.write();
    } catch (error) {
      const { kind, reason } = judgeFailure(error);
      if (kind === "unavailable") {
        this.#prepareTrouble = `revision ${ref.number} cannot be prepared: ${reason}`;
        if (this.#deps.source.connected) this.#deps.judge.say("warn", this.#prepareTrouble);
        this.#send({ kind: "prepare-failed", digest: ref.digest });
      } else {
        this.#send({ kind: "rejected", rejection: { ...ref, reason }, final: kind === "unacceptable" });
      }
      if (kind !== "unacceptable") this.#retries.later();
    }
  }

  #switch(activation: Signed<Activation>): void {
    const held = this.shelf.findFor(activation.body, this.#state.proxyId);
    if (held === undefined) throw new AshlarError("internal", "a switch to a revision that is not held");
    const policy = new HeldPolicy(activation.body.epoch, held);
    this.#policy = policy;
    this.lagMs = this.#deps.judge.lagOf(activation.body);
    for (const listener of this.switchListeners) this.#tell(() => listener(policy));
    this.#deps.log.info("switched", { epoch: policy.epoch, revision: policy.revision, lagMs: this.lagMs });
    this.#writer.switched();
  }

  #trust(trust: Signed<Trust>): void {
    const again = this.#deps.judge.trust(trust);
    for (const listener of this.trustListeners) this.#tell(listener);
    this.#deps.log.info("trust changed", { sequence: trust.body.sequence });
    for (const { origin, bytes } of again) this.receive(origin, bytes);
  }

  /** Calls a listener and logs what it throws, so that its fault affects nothing else. */
  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#deps.log.error(`a listener failed: ${messageOf(error)}`);
    }
  }

  // === Trying again ===

  /** Looks for missed records, by the last freshness statement or by reading the heads. */
  async #lookAgain(): Promise<void> {
    void this.#writer.write();
    if (this.#deps.clock.monotonicMs() - this.#orderedMs > orderValidMsMax) this.#send({ kind: "orders-over" });
    const { freshness } = this.#state;
    if (!this.#deps.source.connected) return;
    if (freshness === undefined || this.freshnessAgeMs > lookAgainMs) return this.catchUp();
    this.#send({ kind: "freshness", freshness });
    this.#send({ kind: "retry" });
  }
}
