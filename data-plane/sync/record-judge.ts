/**
 * Turns received bytes into events of the sync machine. Verification comes first (I3), with the keys of the trust
 * record in force. A record that a valid record names by its digest is authentic too: a revision, or an earlier link
 * whose key was dropped since. Records signed by an unknown key are kept and judged again when trust changes. Rollout
 * plans are in the stream of activations too, but only activations tell a proxy what to do, so a valid plan is no
 * event.
 */
import type { Digest } from "../../core/digest.js";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import type { Activation, Freshness, Revision, Signed, Trust } from "../../core/model.js";
import { revisionsOf } from "../../core/rollout/cohort.js";
import { claimedType, type KeySet } from "../../core/signature.js";
import type { OfferedLog } from "../../core/wire/offers.js";
import { verifyPrepareOrder } from "../../core/wire/prepare-orders.js";
import { keySetOf, verifyActivation, verifyFreshness, verifyRevision, verifyTrust } from "../../core/wire/records.js";
import { verifyRollout } from "../../core/wire/rollouts.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { NamedDigests } from "./named-digests.js";
import type { RecordOrigin } from "./revision-source.js";
import { type Arrival, SignerClocks } from "./signer-clocks.js";
import type { SyncEvent } from "./sync-model.js";
import { uncountedStatement } from "./sync-problems.js";

export interface Skipped {
  readonly origin: RecordOrigin;
  readonly bytes: Uint8Array;
}

/** A verified record of any kind. */
export type Verified =
  | { readonly log: OfferedLog; readonly key: number; readonly record: Signed<unknown> }
  | { readonly log: "freshness"; readonly record: Signed<Freshness> };

const skippedMax = 64;
const saidMax = 256;
const sayAgainMs = 60_000;
/** How far an order's stated age may be wrong, in milliseconds, since clocks differ. */
const orderSkewMs = 10_000;

export class RecordJudge {
  readonly #mesh: string;
  readonly #rootKeys: KeySet;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #hear: (verified: Verified) => void;
  #keys: KeySet = new Map();
  #skipped: Skipped[] = [];
  readonly #named = new NamedDigests();
  readonly #clocks = new SignerClocks();
  readonly #openedMs: number;
  /** The monotonic time at which the newest valid freshness statement was signed. */
  #freshAtMs: number | undefined;
  #clockProblem: string | undefined;
  #said = new Map<string, number>();
  #refused = 0;

  /** `hear` is called with every record whose signature is valid. */
  constructor(
    deps: { readonly log: Logger; readonly clock: Clock; readonly hear?: (verified: Verified) => void },
    mesh: string,
    rootKeys: KeySet,
  ) {
    this.#hear = deps.hear ?? (() => {});
    this.#log = deps.log;
    this.#clock = deps.clock;
    this.#openedMs = deps.clock.monotonicMs();
    this.#mesh = mesh;
    this.#rootKeys = rootKeys;
  }

  /** The keys that sign all records except trust records. */
  get keys(): KeySet {
    return this.#keys;
  }

  /** Milliseconds since the newest valid freshness statement was signed. Infinity: there was none yet. */
  get freshnessAgeMs(): number {
    return this.#freshAtMs === undefined ? Number.POSITIVE_INFINITY : this.#clock.monotonicMs() - this.#freshAtMs;
  }

  /** Why the last freshness statement was not accepted. undefined: it was. */
  get clockProblem(): string | undefined {
    return this.#clockProblem;
  }

  /**
   * How far this machine's clock is ahead of the control plane heard last, in milliseconds. undefined: none was heard.
   */
  get clockAheadMs(): number | undefined {
    return this.#clocks.aheadMs(this.#clock.nowMs(), this.#clock.monotonicMs());
  }

  /**
   * Returns the milliseconds since an activation by the control plane's clock, at most as long as this proxy has run: a
   * proxy that joined an hour after an activation was not an hour late.
   */
  lagOf({ timeMs }: Pick<Activation, "timeMs">): number {
    const monotonicMs = this.#clock.monotonicMs();
    const meshMs = this.#clocks.meshMs(this.#clock.nowMs(), monotonicMs);
    return Math.max(0, Math.round(Math.min(meshMs - timeMs, monotonicMs - this.#openedMs)));
  }

  /** How many records were refused so far. */
  get refused(): number {
    return this.#refused;
  }

  /** Trusts the keys of `trust` from now on. Returns the skipped records, which have to be judged again. */
  trust(trust: Signed<Trust>): readonly Skipped[] {
    this.#keys = keySetOf(trust.body);
    this.#named.keepUnder(this.#keys);
    this.#clocks.keepOnly((kid) => this.#keys.has(kid));
    const again = this.#skipped;
    this.#skipped = [];
    return again;
  }

  /** Returns the verified activation. Fails as `verifyActivation` does. */
  activation(bytes: Uint8Array): Signed<Activation> {
    const record = verifyActivation(bytes, this.#mesh, this.#keys, this.#isNamed);
    const { previous, shadow } = record.body;
    this.#named.add(record, [previous, shadow?.digest, ...revisionsOf(record.body).map(({ digest }) => digest)]);
    return record;
  }

  /** Returns the verified revision. Fails as `verifyRevision` does. */
  revision(bytes: Uint8Array): Signed<Revision> {
    const record = verifyRevision(bytes, this.#mesh, this.#keys, this.#isNamed);
    this.#named.add(record, [record.body.parent]);
    return record;
  }

  readonly #isNamed = (digest: Digest): boolean => this.#named.has(digest);

  /**
   * Returns the event for the machine. "unknown-key": the record is kept until trust changes. undefined: the record is
   * no news, or was refused and logged. `answeredAtMs`: the monotonic time at which the record came in a verified
   * control plane's answer.
   */
  judge(origin: RecordOrigin, bytes: Uint8Array, answeredAtMs?: number): SyncEvent | "unknown-key" | undefined {
    try {
      return this.#verify(origin, bytes, answeredAtMs);
    } catch (error) {
      this.#refused += 1;
      this.say("warn", `a record is refused: ${messageOf(error)}`);
      if (!isAshlarError(error, "unauthenticated")) return undefined;
      if (!this.#skipped.some((one) => Buffer.compare(one.bytes, bytes) === 0))
        this.#skipped = [...this.#skipped, { origin, bytes }].slice(-skippedMax);
      return "unknown-key";
    }
  }

  /** Logs a line, but an equal line at most once a minute. */
  say(level: "warn" | "error", message: string): void {
    const nowMs = this.#clock.monotonicMs();
    const lastMs = this.#said.get(message);
    if (lastMs !== undefined && nowMs - lastMs < sayAgainMs) return;
    if (this.#said.size >= saidMax) this.#said.clear();
    this.#said.set(message, nowMs);
    this.#log[level](message);
  }

  #verify(origin: RecordOrigin, bytes: Uint8Array, answeredAtMs: number | undefined): SyncEvent | undefined {
    switch (origin) {
      case "revisions": {
        const record = this.revision(bytes);
        this.#hear({ log: "revisions", key: record.body.number, record });
        return { kind: "revision", record };
      }
      case "activations":
        return this.#verifyActivation(bytes);
      case "trust": {
        const record = verifyTrust(bytes, this.#mesh, this.#rootKeys);
        this.#hear({ log: "trust", key: record.body.sequence, record });
        return { kind: "trust", record };
      }
      case "freshness":
        return this.#verifyFreshness(bytes, answeredAtMs);
      case "prepare-order":
        return this.#verifyOrder(bytes);
    }
  }

  #verifyActivation(bytes: Uint8Array): SyncEvent | undefined {
    if (claimedType(bytes) === "ashlar-rollout") {
      const plan = verifyRollout(bytes, this.#mesh, this.#keys);
      this.#hear({ log: "rollouts", key: plan.body.number, record: plan });
      return undefined;
    }
    const record = this.activation(bytes);
    this.#hear({ log: "activations", key: record.body.epoch, record });
    return { kind: "activation", record };
  }

  /**
   * Verifies an order to prepare a revision. The order authenticates its revision as an activation does, because the
   * revision's own key may have been dropped.
   */
  #verifyOrder(bytes: Uint8Array): SyncEvent {
    const order = verifyPrepareOrder(bytes, this.#mesh, this.#keys);
    const { issuedMs, expiresMs, revision } = order.body;
    const meshMs = this.#clocks.meshMs(this.#clock.nowMs(), this.#clock.monotonicMs());
    if (meshMs > expiresMs + orderSkewMs || meshMs < issuedMs - orderSkewMs)
      throw new AshlarError("stale", `an order to prepare revision ${revision.number} that is not valid now`);
    this.#named.add(order, [revision.digest]);
    return { kind: "ordered", revision };
  }

  /**
   * Verifies a freshness statement. It counts from when it was signed: a replayed one is no news, and a delayed one is
   * old.
   */
  #verifyFreshness(bytes: Uint8Array, answeredAtMs: number | undefined): SyncEvent | undefined {
    const record = verifyFreshness(bytes, this.#mesh, this.#keys);
    const monotonicMs = answeredAtMs ?? this.#clock.monotonicMs();
    const arrival: Arrival = { wallMs: this.#clock.nowMs(), monotonicMs, isAnswer: answeredAtMs !== undefined };
    const age = this.#clocks.judge({ kid: record.kid, ...record.body }, arrival);
    if (age.kind !== "signed") {
      this.#clockProblem = uncountedStatement(age);
      this.say("warn", this.#clockProblem);
      return undefined;
    }
    this.#clockProblem = undefined;
    if (this.#freshAtMs !== undefined && age.atMs <= this.#freshAtMs) return undefined;
    this.#freshAtMs = age.atMs;
    this.#hear({ log: "freshness", record });
    return { kind: "freshness", freshness: record.body };
  }
}
