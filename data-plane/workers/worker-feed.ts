/** Tells workers what they must know, each change in order, and answers their questions. */
import type { Digest } from "../../core/digest.js";
import { AshlarError, unreachable } from "../../core/errors.js";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import type { Signed, Trust } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import type { CallIdentityView, EvaluatedPolicy, FollowedEndpoints, PolicyView, ShadowPolicy } from "../ports.js";
import type { DecisionSink } from "../proxy/decision-sink.js";
import type { HeldRevision, HeldUnit } from "../sync/held-revision.js";
import type { RevisionSpread } from "../sync/revision-spread.js";
import type { Crew } from "./crew.js";
import type { CrewApp } from "./crew-app.js";
import type { CrewLimits } from "./crew-limits.js";
import { CrewTaps } from "./crew-taps.js";
import type { CrewVoice } from "./crew-voice.js";
import { EndpointFeed } from "./endpoint-feed.js";
import { EvaluatedByAll } from "./evaluated-by-all.js";
import { answerJournal, type JournalAnswer, type JournalBus } from "./journal-questions.js";
import type { Question, SentUnit, ToWorker, WorkerSetup } from "./messages.js";
import { forCalls } from "./worker-views.js";
import { trustOf } from "./workers-state.js";

/** The state that the first process knows. */
export interface WorkerKnowledge {
  readonly identity: CallIdentityView;
  readonly policy: PolicyView;
  readonly endpoints: FollowedEndpoints;
  readonly app: CrewApp;
  readonly decisions: DecisionSink & { noteDropped(count: number): void };
  readonly limits: CrewLimits;
  /** Reads and appends to the journal of the proxy's service. */
  readonly bus: JournalBus;
  readonly sync: {
    readonly trusting: Signed<Trust> | undefined;
    readonly trust: { onChange(listener: () => void): () => void };
    held(): Iterable<HeldRevision>;
    onChange(listener: () => void): () => void;
  };
}

/** The state that one worker has been told. */
interface Told {
  /** The units of each revision, by digest. */
  readonly revisions: Map<Digest, Set<Digest>>;
  seenEpoch: number;
  shadow: ShadowPolicy | undefined;
}

export class WorkerFeed implements RevisionSpread, CrewVoice {
  readonly #crew: Crew;
  readonly #endpoints: EndpointFeed;
  #evaluated: EvaluatedByAll | undefined;
  readonly #told = new Map<number, Told>();
  readonly #preparing = new Map<Digest, { resolve(): void; reject(error: AshlarError): void }>();
  /** The revisions that the present workers have compiled and that are about to be held. */
  readonly #offered = new Map<Digest, HeldRevision>();
  readonly #stops: (() => void)[] = [];
  #whenGone: ((worker: number) => void) | undefined;
  #known: WorkerKnowledge | undefined;
  #setup: WorkerSetup | undefined;

  readonly taps: CrewTaps;

  constructor(crew: Crew, clock: Clock) {
    this.#crew = crew;
    this.#endpoints = new EndpointFeed(crew);
    this.taps = new CrewTaps(crew, clock);
  }

  /** Returns the policy that all workers judge by, from `policy`, which the first process knows. */
  evaluatedByAll(policy: PolicyView, clock: Clock): PolicyView {
    this.#evaluated = new EvaluatedByAll(policy, clock, () => trustOf(this.#crew.state));
    return this.#evaluated;
  }

  /** Starts the workers with the known state, and tells them every change. Resolves when all carry calls. */
  start(known: WorkerKnowledge, setup: WorkerSetup, whenGone: (worker: number) => void): Promise<void> {
    this.#known = known;
    this.#whenGone = whenGone;
    this.#setup = setup;
    const { policy, identity, endpoints, app, sync } = known;
    if (policy.current !== undefined) this.#evaluated?.switched(policy.current);
    this.#stops.push(
      policy.onSwitch((next) => this.#switch(next)),
      identity.onRotate(() => this.#tellAll({ kind: "identity", identity: forCalls(identity.current) })),
      sync.trust.onChange(() => {
        for (const worker of this.#crew.briefed) this.#tellTrust(worker);
      }),
      sync.onChange(() => this.#tellNewsToAll()),
      () => app.stop(),
      endpoints.onChange((service) => this.#endpoints.changed(service, endpoints)),
    );
    return this.#crew.start(this);
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  // === RevisionSpread ===

  prepare(held: HeldRevision): Promise<void> {
    const { digest } = held.revision;
    for (const one of this.#known?.sync.held() ?? []) this.#offered.delete(one.revision.digest);
    this.#offered.set(digest, held);
    if (this.#known === undefined) return Promise.resolve(); // no worker has started: each is told when it is briefed
    return new Promise((resolve, reject) => {
      this.#preparing.set(digest, { resolve, reject });
      for (const worker of this.#crew.briefed) this.#tellRevision(worker, held);
      this.#crew.expectPrepared(digest);
    });
  }

  added(revision: Digest, name: string, { digest, bytes }: HeldUnit): void {
    for (const worker of this.#crew.briefed) {
      const units = this.#told.get(worker)?.revisions.get(revision);
      if (units === undefined) continue; // the unit is sent with the revision
      units.add(digest);
      this.#crew.say(worker, { kind: "unit", revision, unit: { name, digest, bytes } });
    }
  }

  dropped(revision: Digest): void {
    this.#offered.delete(revision);
    for (const worker of this.#crew.briefed)
      if (this.#told.get(worker)?.revisions.delete(revision)) this.#crew.say(worker, { kind: "drop", revision });
  }

  // === CrewVoice ===

  brief(worker: number): void {
    const [known, setup] = [this.#known, this.#setup];
    if (known === undefined || setup === undefined) throw new AshlarError("internal", "a worker before its setup");
    this.#told.set(worker, { revisions: new Map(), seenEpoch: 0, shadow: undefined });
    this.#endpoints.brief(worker);
    const { name } = setup.log;
    this.#crew.say(worker, {
      kind: "setup",
      setup: { ...setup, log: { ...setup.log, name: `${name} worker ${worker}` } },
    });
    known.limits.brief(worker);
    this.taps.brief(worker);
    this.#tellTrust(worker);
    this.#crew.say(worker, { kind: "identity", identity: forCalls(known.identity.current) });
    for (const held of [...known.sync.held(), ...this.#offered.values()]) this.#tellRevision(worker, held);
    if (known.policy.current !== undefined) this.#tellSwitch(worker, known.policy.current);
    this.#tellNews(worker, known.policy);
    this.#tellFresh(worker);
    known.app.brief(worker);
  }

  async asked(worker: number, what: Question): Promise<boolean | JournalAnswer> {
    const known = this.#known;
    if (known === undefined) throw new AshlarError("internal", "a question before anything is known");
    switch (what.kind) {
      case "use-service":
        return known.policy.useService(what.service);
      case "hear-of-epoch":
        await known.policy.hearOfEpoch(what.epoch, what.peer);
        this.#tellNewsToAll(); // before the answer
        return true;
      case "follow-service":
        await this.#endpoints.follow(worker, what.service, known.endpoints);
        return true;
      case "record":
        for (const decision of what.decisions) known.decisions.offer(decision);
        if (what.counts.length > 0) known.decisions.offerCounts(what.counts);
        if (what.dropped > 0) known.decisions.noteDropped(what.dropped);
        return true;
      case "journal-append":
      case "journal-read":
        return answerJournal(known.bus, known.identity.current.service, what);
      default:
        return unreachable(what);
    }
  }

  refused(worker: number, instance: string): void {
    this.#known?.app.refused(worker, instance);
  }

  tapped(report: Uint8Array): void {
    const identity = this.#known?.identity.current;
    if (identity !== undefined) this.taps.hear(report, identity);
  }

  limits(worker: number, report: LimitReport, scope: Limit["scope"]): void {
    this.#known?.limits.hear(worker, report, scope);
  }

  evaluating(epoch: number): void {
    this.#evaluated?.reached(epoch);
  }

  prepared(digest: Digest, problem: string | undefined): void {
    const preparing = this.#preparing.get(digest);
    this.#preparing.delete(digest);
    if (problem === undefined) {
      preparing?.resolve();
      return;
    }
    this.#offered.delete(digest);
    for (const { revisions } of this.#told.values()) revisions.delete(digest); // the whole list is sent again
    preparing?.reject(new AshlarError("unavailable", `a worker cannot prepare it: ${problem}`));
  }

  gone(worker: number): void {
    this.#told.delete(worker);
    this.#endpoints.gone(worker);
    this.#whenGone?.(worker);
  }

  tick(): void {
    this.#tellNewsToAll(); // the epoch may increase without a switch
    for (const worker of this.#crew.briefed) this.#tellFresh(worker);
  }

  // === Telling ===

  #tellAll(message: ToWorker): void {
    for (const worker of this.#crew.briefed) this.#crew.say(worker, message);
  }

  #tellTrust(worker: number): void {
    const record = this.#known?.sync.trusting;
    if (record === undefined) return;
    const duty = { kind: "trust", sequence: record.body.sequence } as const;
    this.#crew.tell(worker, { kind: "trust", record: record.bytes }, duty);
  }

  /** Tells a worker a revision. A unit that the worker has from another revision is sent without its bytes. */
  #tellRevision(worker: number, { revision, list, units }: HeldRevision): void {
    const told = this.#told.get(worker);
    if (told === undefined || told.revisions.has(revision.digest)) return;
    const has = (digest: Digest): boolean => [...told.revisions.values()].some((digests) => digests.has(digest));
    const sent = [...units].map(([name, { digest, bytes }]): SentUnit => {
      return { name, digest, bytes: has(digest) ? undefined : bytes };
    });
    told.revisions.set(revision.digest, new Set(sent.map(({ digest }) => digest)));
    const { number } = revision.body;
    const { digest } = revision;
    const what = {
      kind: "prepare",
      number,
      digest,
      list: { digest: list.digest, bytes: list.bytes },
      units: sent,
    } as const;
    this.#crew.tell(worker, what, { kind: "prepare", digest });
  }

  #switch(policy: EvaluatedPolicy): void {
    this.#evaluated?.switched(policy);
    for (const worker of this.#crew.briefed) this.#tellSwitch(worker, policy);
    this.#tellNewsToAll();
  }

  #tellSwitch(worker: number, { epoch, revisionDigest }: EvaluatedPolicy): void {
    this.#crew.tell(worker, { kind: "switch", epoch, revision: revisionDigest }, { kind: "switch", epoch });
  }

  #tellNewsToAll(): void {
    const policy = this.#known?.policy;
    if (policy !== undefined) for (const worker of this.#crew.briefed) this.#tellNews(worker, policy);
  }

  /** Sends state that needs no acknowledgement: the epoch that was seen, and the candidate. */
  #tellNews(worker: number, { seenEpoch, shadow }: PolicyView): void {
    const told = this.#told.get(worker);
    if (told === undefined) return;
    if (told.seenEpoch < seenEpoch) {
      told.seenEpoch = seenEpoch;
      this.#crew.say(worker, { kind: "seen", epoch: seenEpoch });
    }
    // The same object as long as nothing about it has changed.
    if (told.shadow === shadow || (shadow !== undefined && !told.revisions.has(shadow.policy.revisionDigest))) return;
    told.shadow = shadow;
    const sent = shadow && {
      epoch: shadow.policy.epoch,
      revision: shadow.policy.revisionDigest,
      share: shadow.share,
    };
    this.#crew.say(worker, { kind: "shadow", shadow: sent });
  }

  #tellFresh(worker: number): void {
    const ageMs = this.#known?.policy.freshnessAgeMs ?? Number.POSITIVE_INFINITY;
    if (Number.isFinite(ageMs)) this.#crew.say(worker, { kind: "fresh", ageMs });
  }
}
