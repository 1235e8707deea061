/** Opens a proxy's state of the logs: from its disk, or at the first start from the heads that it got at join. */
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Activation, Freshness, PreparedRevision, Signed, Trust } from "../../core/model.js";
import { rootKeySet, verifyFreshness, verifyTrust } from "../../core/wire/records.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { PolicyView, TrustView } from "../ports.js";
import { KeptRecords, type SeenHeads } from "../recover/kept-records.js";
import type { Tenure } from "../takeover/tenure.js";
import { DiskCache, type LoadedState } from "./disk-cache.js";
import type { HeldRevision } from "./held-revision.js";
import { createPolicyView, listen } from "./policy-view.js";
import { prepareRevision } from "./prepare.js";
import { RecordJudge, type Verified } from "./record-judge.js";
import { findUnit, yieldTurn } from "./revision-shelf.js";
import { createRevisionSource } from "./revision-source.js";
import type { RevisionSpread } from "./revision-spread.js";
import type { StateFolder } from "./state-folder.js";
import { SyncLoop } from "./sync-loop.js";
import { historyMax } from "./sync-plan.js";
import { createTrustView } from "./trust-view.js";

/** Signed records that came with a certificate, at join or renewal. Empty bytes: the control plane sent none. */
export interface IssuedHeads {
  readonly trust: Uint8Array;
  readonly activation: Uint8Array;
  readonly revision: Uint8Array;
  readonly freshness: Uint8Array;
  /** The time on the monotonic clock at which a control plane sent them; undefined if they were read from disk. */
  readonly answeredAtMs?: number | undefined;
}

export interface SyncOptions {
  readonly mesh: string;
  readonly proxyId: string;
  /** This proxy's own service. */
  readonly service: string;
  /** The services of `--upstream`. */
  readonly upstreams: readonly string[];
  /** The mesh's root key, pinned at join, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** The heads that came with the stored identity. The chains begin there if the disk has none. */
  readonly issued: IssuedHeads | undefined;
  /** The longest time between two freshness statements (default 5000 ms). Three times that without one is a problem. */
  readonly freshnessIntervalMs?: number;
}

export interface SyncDeps {
  readonly bus: Bus;
  /** The folder DATA/state. */
  readonly folder: StateFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
  /** Says whether this process owns the folder. If not, nothing waits for writes to it. Left out: it does. */
  readonly tenure?: Pick<Tenure, "isOwner"> | undefined;
  /** The worker processes; undefined if this process alone judges calls. */
  readonly spread?: RevisionSpread | undefined;
}

export interface Sync {
  readonly policy: PolicyView;
  readonly trust: TrustView;
  /** The trust record in force, as a signed record. */
  readonly trusting: Signed<Trust> | undefined;
  /** Returns the revisions that are completely held. */
  held(): Iterable<HeldRevision>;
  /** The signed records that were verified, for a control plane that lost them. */
  readonly kept: KeptRecords;
  /** Returns the heads that were seen, as they are on disk. */
  readonly heads: SeenHeads;
  /** Calls `listener` with every verified statement about the heads of the logs. Returns a function that removes it. */
  onFreshness(listener: (statement: Signed<Freshness>) => void): () => void;
  /** Returns the present problems, one line each: equivocation, a rejected revision, staleness, disk errors. */
  problems(): readonly string[];
  /** How far this machine's clock is ahead of the control plane's, in milliseconds. undefined: not known yet. */
  readonly clockAheadMs: number | undefined;
  /** True if statements arrive and do not count because a clock is wrong, so that a control plane must be asked. */
  readonly clocksDisagree: boolean;
  /** How many records were refused since the start. */
  readonly refusedRecords: number;
  /** Calls `listener` when the fleet view should be told: prepared, rejected, switched, trust changed. */
  onChange(listener: () => void): () => void;
  /** Takes the heads that came with a renewal. */
  receive(issued: IssuedHeads): void;
  /** Begins to follow the logs over NATS. */
  start(): void;
  /** Stops, and writes what is not on disk yet. */
  stop(): Promise<void>;
}

/**
 * Loads and verifies the state on disk. When it resolves, `policy.current` is the last good policy, whether or not NATS
 * and the control plane are there. Fails with `unavailable` if the folder cannot be read, and with `invalid_record` if
 * neither the disk nor the identity has a trust record that the root key signed.
 */
export async function openSync(deps: SyncDeps, options: SyncOptions): Promise<Sync> {
  const { clock, log, spread, random = Math.random } = deps;
  const rootKeys = rootKeySet(options.rootPublicKey);
  const kept = await KeptRecords.open(deps.folder, clock);
  const freshnessListeners = new Set<(statement: Signed<Freshness>) => void>();
  const hear = hearVerified(kept, freshnessListeners);
  const judge = new RecordJudge({ log, clock, hear }, options.mesh, rootKeys);
  const cache = new DiskCache({ folder: deps.folder, log }, options.mesh);
  const issued = options.issued;

  const issuedTrust = tryRecord(log, "trust record", issued?.trust, (bytes) =>
    verifyTrust(bytes, options.mesh, rootKeys),
  );
  const disk = await cache.load(rootKeys, issuedTrust);
  const trusting = disk.trust.length > 0 ? disk.trust : issuedTrust ? [issuedTrust] : [];
  const [inForce] = trusting;
  if (inForce !== undefined) judge.trust(inForce);
  nameLoaded(judge, disk);
  const head = tryRecord(log, "activation", issued?.activation, (bytes) => judge.activation(bytes));
  const revision = tryRecord(log, "revision", issued?.revision, (bytes) => judge.revision(bytes));
  const { held, refs } = await loadHeld(cache, disk, options, log);
  const loop = new SyncLoop(
    { source: createRevisionSource(deps.bus), cache, judge, clock, log, random, spread },
    {
      mesh: options.mesh,
      service: options.service,
      upstreams: options.upstreams,
      freshnessIntervalMs: options.freshnessIntervalMs ?? 5000,
    },
    {
      start: {
        proxyId: options.proxyId,
        activations: disk.activations.length > 0 ? disk.activations : head ? [head] : [],
        trust: trusting,
        onDisk: disk.floorWhole,
        trusting: inForce,
        evaluating: disk.lastGood,
        prepared: refs,
        history: refs.slice(0, historyMax),
      },
      held,
      revisions: revision ? [revision] : [],
      called: disk.called,
      lagMs: disk.lagMs,
    },
  );
  noteLoaded(kept, held, disk.activations, trusting);
  const receive = (heads: IssuedHeads): void => {
    if (heads.trust.length > 0) loop.receive("trust", heads.trust);
    if (heads.revision.length > 0) loop.receive("revisions", heads.revision);
    if (heads.activation.length > 0) loop.receive("activations", heads.activation);
    if (heads.freshness.length > 0) loop.receive("freshness", heads.freshness, heads.answeredAtMs);
  };
  if (deps.tenure?.isOwner !== false) await loop.whenSaved();
  if (issued !== undefined && inForce !== undefined)
    receive(withoutOldStatement(issued, options.mesh, judge, clock.nowMs()));
  return createSync({ loop, judge, kept, freshnessListeners, receive }, options.mesh);
}

/**
 * Tells the judge which records the activations on disk name. Those are valid even if their signing key was dropped.
 * Newest first, since only the newest activation is certainly signed by a present key.
 */
function nameLoaded(judge: RecordJudge, { activations, lastGood }: LoadedState): void {
  const loaded = [...activations, ...(lastGood === undefined ? [] : [lastGood])];
  for (const { bytes } of loaded.sort((a, b) => b.body.epoch - a.body.epoch)) {
    try {
      judge.activation(bytes);
    } catch {} // it was judged, and told, when it was loaded
  }
}

/** Removes, without a warning, what a stored answer may have: a statement that has expired, or from before its key's end. */
function withoutOldStatement(issued: IssuedHeads, mesh: string, judge: RecordJudge, nowMs: number): IssuedHeads {
  try {
    const { expiresMs } = verifyFreshness(issued.freshness, mesh, judge.keys).body;
    if (issued.answeredAtMs !== undefined || expiresMs >= nowMs) return issued;
  } catch {}
  return { ...issued, freshness: new Uint8Array() };
}

/** How long without a statement means that two statements of the control planes were missed, in milliseconds. */
const statementsMissedMs = 6000;

interface SyncParts {
  readonly loop: SyncLoop;
  readonly judge: RecordJudge;
  readonly kept: KeptRecords;
  readonly freshnessListeners: Set<(statement: Signed<Freshness>) => void>;
  readonly receive: (heads: IssuedHeads) => void;
}

function createSync({ loop, judge, kept, freshnessListeners, receive }: SyncParts, mesh: string): Sync {
  return {
    policy: createPolicyView(loop),
    trust: createTrustView(
      { trusting: () => loop.state.trusting, onChange: (listener) => listen(loop.trustListeners, listener) },
      mesh,
    ),
    get trusting() {
      return loop.state.trusting;
    },
    held: () => loop.shelf.all(),
    problems: () => [
      ...loop.problems(),
      ...(kept.trouble === undefined ? [] : [`state on disk: records are not kept: ${kept.trouble}`]),
    ],
    kept,
    get heads() {
      const { saved, published } = loop.state;
      const { contested } = kept;
      return { epoch: saved.epoch, trustSequence: saved.sequence, revision: published[0]?.number ?? 0, contested };
    },
    onFreshness: (listener) => listen(freshnessListeners, listener),
    get clockAheadMs() {
      return judge.clockAheadMs;
    },
    get clocksDisagree() {
      return judge.clockProblem !== undefined && loop.freshnessAgeMs > statementsMissedMs;
    },
    get refusedRecords() {
      return judge.refused;
    },
    onChange: (listener) => listen(loop.changeListeners, listener),
    receive,
    start: () => loop.start(),
    async stop() {
      await loop.stop();
      await kept.close();
    },
  };
}

function hearVerified(kept: KeptRecords, listeners: ReadonlySet<(statement: Signed<Freshness>) => void>) {
  return (verified: Verified): void => {
    if (verified.log !== "freshness") kept.note(verified.log, verified.key, verified.record);
    else for (const listener of listeners) listener(verified.record);
  };
}

/** Takes over what earlier versions kept in other files. */
function noteLoaded(
  kept: KeptRecords,
  held: readonly HeldRevision[],
  activations: readonly Signed<Activation>[],
  trust: readonly Signed<Trust>[],
): void {
  for (const { revision } of held) kept.note("revisions", revision.body.number, revision);
  for (const record of activations) kept.note("activations", record.body.epoch, record);
  for (const record of trust) kept.note("trust", record.body.sequence, record);
}

/** Returns the revisions that are complete on disk. An incomplete one is logged and left out. */
async function loadHeld(
  cache: DiskCache,
  disk: LoadedState,
  options: SyncOptions,
  log: Logger,
): Promise<{ readonly held: readonly HeldRevision[]; readonly refs: readonly PreparedRevision[] }> {
  const held = new Map<string, HeldRevision>();
  const refs: PreparedRevision[] = [];
  const needed = [options.service, ...options.upstreams];
  for (const ref of disk.revisions) {
    try {
      const prepared = await prepareRevision(ref, {
        reader: cache.reader(disk.keys),
        mesh: options.mesh,
        services: [...needed, ...disk.called.keys()],
        isOptional: (service) => service !== options.service && !service.startsWith("@"),
        findHeld: (digest) => held.get(digest),
        findUnit: (digest) => findUnit(held.values(), digest),
        yieldTurn,
      });
      held.set(ref.digest, prepared.held);
      refs.push(ref);
    } catch (error) {
      log.error(`state on disk: revision ${ref.number} is ignored: ${messageOf(error)}`);
    }
  }
  return { held: [...held.values()], refs };
}

function tryRecord<Body>(
  log: Logger,
  what: string,
  bytes: Uint8Array | undefined,
  verify: (bytes: Uint8Array) => Signed<Body>,
): Signed<Body> | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined;
  try {
    return verify(bytes);
  } catch (error) {
    // signed by a key that was dropped since: the logs have the successors
    const level = isAshlarError(error, "unauthenticated") ? "warn" : "error";
    log[level](`the ${what} that came with the identity is ignored: ${messageOf(error)}`);
    return undefined;
  }
}
