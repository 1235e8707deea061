/**
 * Drives the sync machine: follows the logs, saves floors before they are acted on, prepares, switches
 * one pointer, and keeps the last good state on disk. Nothing here is awaited by a call that is judged,
 * but `useService` (first use of a service) and `hearOfEpoch`, which are bounded.
 */
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Activation, PreparedRevision, Revision, Signed, Trust } from "../../core/model.js";
import type { LogName } from "../../core/wire/subjects.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { type CalledServices, calledWithin, noteCalled } from "./called-services.js";
import type { DiskCache } from "./disk-cache.js";
import { EpochHints } from "./epoch-hints.js";
import { HeldPolicy, type HeldRevision } from "./held-revision.js";
import { judgeFailure } from "./prepare.js";
import type { RecordJudge } from "./record-judge.js";
import { RevisionShelf } from "./revision-shelf.js";
import type { RecordOrigin, RevisionSource } from "./revision-source.js";
import { StateWriter } from "./state-writer.js";
import type { ChainName, SyncEffect, SyncEvent, SyncStart, SyncState } from "./sync-model.js";
import { seenEpochOf, startSync, step, syncProblems } from "./sync-state.js";
import { UnitFetcher } from "./unit-fetcher.js";

export interface SyncLoopDeps {
  readonly source: RevisionSource;
  readonly cache: DiskCache;
  readonly judge: RecordJudge;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

export interface SyncLoopOptions {
  readonly mesh: string;
  readonly service: string;
  readonly upstreams: readonly string[];
  /** A freshness statement is expected this often. */
  readonly freshnessIntervalMs: number;
}

/** What the loop begins with: verified, from disk or from joining. */
export interface SyncBegin {
  readonly start: SyncStart;
  readonly held: readonly HeldRevision[];
  readonly revisions: readonly Signed<Revision>[];
  readonly called: CalledServices;
  readonly lagMs: number;
}

const lookAgainMs = 10_000;
const retry = { msMin: 100, msMax: 10_000 };

export class SyncLoop {
  readonly #deps: SyncLoopDeps;
  readonly #options: SyncLoopOptions;
  readonly #shelf: RevisionShelf;
  readonly #units: UnitFetcher;
  readonly #reading = new Map<LogName, Promise<void>>();
  readonly #events: SyncEvent[] = [];
  readonly #backoff: Backoff;
  readonly #writer: StateWriter;
  readonly #stop = new AbortController();
  readonly hints: EpochHints;
  readonly switchListeners = new Set<(policy: HeldPolicy) => void>();
  readonly trustListeners = new Set<() => void>();
  readonly changeListeners = new Set<() => void>();
  #state: SyncState;
  #policy: HeldPolicy | undefined;
  #called: CalledServices;
  #freshMs: number | undefined;
  #saving: Promise<void> = Promise.resolve();
  #draining = false;
  #retrying = false;
  #floorTrouble: string | undefined;
  #prepareTrouble: string | undefined;
  lagMs: number;

  constructor(deps: SyncLoopDeps, options: SyncLoopOptions, begin: SyncBegin) {
    this.#deps = deps;
    this.#options = options;
    this.#backoff = new Backoff(retry, deps.random);
    this.#shelf = new RevisionShelf(
      {
        source: deps.source,
        judge: deps.judge,
        services: () => this.#services(),
        unknownKey: () => void this.readHead("trust"),
      },
      options.mesh,
    );
    this.#units = new UnitFetcher({
      shelf: this.#shelf,
      clock: deps.clock,
      policy: () => this.#policy,
      connected: () => deps.source.connected,
      fetched: (digest, bytes) => {
        this.#writer.add([[digest, bytes]]);
        void this.#writer.write();
      },
    });
    this.#writer = new StateWriter(deps.cache, {
      held: () => this.#shelf.all(),
      lastGood: () => this.#lastGood(),
      called: () => this.#called,
    });
    this.hints = new EpochHints({
      clock: deps.clock,
      known: () => Math.min(this.seenEpoch, this.#state.saved.epoch),
      read: () => this.readHead("activations"),
    });
    for (const held of begin.held) this.#shelf.hold(held);
    for (const record of begin.revisions) this.#shelf.keepRecord(record);
    this.#called = begin.called;
    this.lagMs = begin.lagMs;
    const first = startSync(begin.start);
    this.#state = first.state;
    const evaluating = begin.start.evaluating;
    const held = evaluating && this.#shelf.find(evaluating.body.revisionDigest);
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

  /** Resolves when the floor that is being written is on disk, or could not be written. */
  whenSaved(): Promise<void> {
    return this.#saving;
  }

  /** Milliseconds since the last valid freshness statement; Infinity before the first. */
  get freshnessAgeMs(): number {
    return this.#freshMs === undefined ? Number.POSITIVE_INFINITY : this.#deps.clock.monotonicMs() - this.#freshMs;
  }

  /** What is wrong now, one line each. */
  problems(): readonly string[] {
    const problems = [...syncProblems(this.#state)];
    const trouble = this.#floorTrouble ?? this.#writer.trouble;
    if (trouble !== undefined) problems.push(`state on disk: ${trouble}`);
    if (this.#prepareTrouble !== undefined) problems.push(this.#prepareTrouble);
    if (this.freshnessAgeMs > 3 * this.#options.freshnessIntervalMs)
      problems.push("no fresh statement about the heads of the logs has come: what is evaluated may be out of date");
    return problems;
  }

  /** Begins to follow the logs. */
  start(): void {
    const { source, log } = this.#deps;
    const { signal } = this.#stop;
    const stopStatus = source.onStatus((connected) => {
      if (connected) void this.catchUp();
    });
    signal.addEventListener("abort", stopStatus, { once: true });
    const receive = (origin: RecordOrigin, bytes: Uint8Array): void => {
      if (this.receive(origin, bytes)) this.hints.heard();
    };
    source
      .follow(receive, () => void this.catchUp(), signal)
      .catch((error: unknown) => log.error(`following the logs ended: ${messageOf(error)}`));
    if (source.connected) void this.catchUp();
    void this.#lookAgain();
  }

  /** Stops, and puts on disk what is not there yet. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#writer.write();
  }

  /** Judges a record wherever it came from; says whether it is valid. */
  receive(origin: RecordOrigin, bytes: Uint8Array): boolean {
    const event = this.#deps.judge.judge(origin, bytes);
    if (event === "unknown-key" && origin !== "trust") void this.readHead("trust");
    if (event === undefined || event === "unknown-key") return false;
    if (event.kind === "revision") this.#shelf.keepRecord(event.record);
    if (event.kind === "freshness") this.#freshMs = this.#deps.clock.monotonicMs();
    this.#send(event);
    return true;
  }

  /** Reads the heads of all logs, trust first, and tries again what failed. */
  async catchUp(): Promise<void> {
    this.hints.heard();
    await this.readHead("trust");
    await Promise.all([this.readHead("activations"), this.readHead("revisions")]);
    this.#send({ kind: "retry" });
  }

  /** Reads the head of one log; one read is shared by all who ask meanwhile. Never rejects. */
  readHead(name: LogName): Promise<void> {
    const running = this.#reading.get(name);
    if (running !== undefined) return running;
    const reading = this.#readHead(name).finally(() => this.#reading.delete(name));
    this.#reading.set(name, reading);
    return reading;
  }

  async #readHead(name: LogName): Promise<void> {
    const { source, judge } = this.#deps;
    try {
      const accept = (bytes: Uint8Array): boolean => typeof judge.judge(name, bytes) === "object";
      const bytes = await source.readHead(name, accept);
      if (bytes !== undefined) this.receive(name, bytes);
    } catch (error) {
      if (source.connected) judge.say("warn", `the ${name} log cannot be read: ${messageOf(error)}`);
    }
  }

  /** Makes sure that the evaluated policy holds the unit of `service`; see PolicyView. */
  async useService(service: string): Promise<boolean> {
    const policy = this.#policy;
    if (policy === undefined) throw new AshlarError("unavailable", "no revision is evaluated yet");
    if (!policy.has(service)) return false;
    this.#note(service);
    if (policy.unit(service) !== undefined) return true;
    await this.#units.obtain(service);
    return this.#policy?.has(service) ?? false;
  }

  /** The prepare set, without the mesh's own unit. */
  #services(): readonly string[] {
    const { service, upstreams } = this.#options;
    return [service, ...upstreams, ...calledWithin(this.#called, this.#deps.clock.nowMs())];
  }

  #note(service: string): void {
    const called = noteCalled(this.#called, service, this.#deps.clock.nowMs());
    if (called === this.#called) return;
    const isNew = !this.#called.has(service);
    this.#called = called;
    this.#writer.calledChanged();
    if (!isNew) return;
    void this.#writer.write();
    this.#units.spread(service);
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
        void this.readHead(effect.log);
        return;
      case "read-range":
        void this.#readRange(effect.log, effect.range.from, effect.range.to);
        return;
      case "prepare":
        void this.#prepare(effect.revision);
        return;
      case "drop":
        this.#shelf.drop(effect.digest);
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
      this.#retryLater();
    }
  }

  async #readRange(name: ChainName, from: number, to: number): Promise<void> {
    const { source, judge } = this.#deps;
    try {
      for (let key = Math.max(from, 1); key <= to && !this.#stop.signal.aborted; key += 1) {
        const records = await source.readAt(name, key);
        const valid = records.filter((bytes) => this.receive(name, bytes)).length;
        if (valid === 0) break;
      }
    } catch (error) {
      judge.say("warn", `the ${name} log cannot be read: ${messageOf(error)}`);
      return this.#retryLater(); // not read at all: nothing may be concluded
    }
    this.#send({ kind: "range-read", log: name, range: { from, to } });
  }

  async #prepare(ref: PreparedRevision): Promise<void> {
    try {
      const { held, blobs } = await this.#shelf.prepare(ref);
      await this.#units.complete(held, this.#services());
      this.#backoff.reset();
      this.#prepareTrouble = undefined;
      this.#shelf.hold(held);
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
      if (kind !== "unacceptable") this.#retryLater();
    }
  }

  #switch(activation: Signed<Activation>): void {
    const held = this.#shelf.find(activation.body.revisionDigest);
    if (held === undefined) throw new AshlarError("internal", "a switch to a revision that is not held");
    const policy = new HeldPolicy(activation.body.epoch, held);
    this.#policy = policy;
    this.lagMs = Math.max(0, this.#deps.clock.nowMs() - activation.body.timeMs);
    for (const listener of this.switchListeners) this.#tell(() => listener(policy));
    this.#deps.log.info("switched", { epoch: policy.epoch, revision: policy.revision, lagMs: this.lagMs });
    this.#writer.switched();
    void this.#writer.write();
  }

  #trust(trust: Signed<Trust>): void {
    const again = this.#deps.judge.trust(trust);
    for (const listener of this.trustListeners) this.#tell(listener);
    this.#deps.log.info("trust changed", { sequence: trust.body.sequence });
    for (const { origin, bytes } of again) this.receive(origin, bytes);
  }

  /** A listener's fault is its own. */
  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#deps.log.error(`a listener failed: ${messageOf(error)}`);
    }
  }

  #lastGood(): Parameters<DiskCache["saveLastGood"]>[0] | undefined {
    const { evaluating, history, prepared } = this.#state;
    if (evaluating === undefined) return undefined;
    const active = history.filter((one) => this.#shelf.find(one.digest) !== undefined);
    const others = prepared.filter((one) => !active.some((other) => other.digest === one.digest));
    return { activation: evaluating, lagMs: this.lagMs, revisions: [...active, ...others] };
  }

  // === Trying again ===

  #retryLater(): void {
    if (this.#retrying) return;
    this.#retrying = true;
    void this.#deps.clock.sleep(this.#backoff.nextMs(), this.#stop.signal).then(() => {
      this.#retrying = false;
      if (!this.#stop.signal.aborted) this.#send({ kind: "retry" });
    });
  }

  /** Anti-entropy: what was missed shows against the last freshness statement, or by reading the heads. */
  async #lookAgain(): Promise<void> {
    const { clock, source, random } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(lookAgainMs * (0.9 + random() / 5), signal);
      if (signal.aborted) return;
      void this.#writer.write();
      const { freshness } = this.#state;
      if (!source.connected) continue;
      if (freshness === undefined || this.freshnessAgeMs > lookAgainMs) {
        await this.catchUp();
      } else {
        this.#send({ kind: "freshness", freshness });
        this.#send({ kind: "retry" });
      }
    }
  }
}
