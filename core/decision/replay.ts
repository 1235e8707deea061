/**
 * Compares recorded decisions with what a candidate would decide, and checks that the policy of the time reproduces
 * them exactly.
 */
import { gatewayNameIn, parseSpiffeId } from "../identity.js";
import type { CompiledUnit } from "../policy/compile.js";
import {
  type DecisionBatch,
  type DecisionRecord,
  isRefusal,
  type RefusalCount,
  type Verdict,
} from "./decision-record.js";
import { LimitStage } from "./limit-stage.js";
import {
  isSame,
  judgedMethod,
  type Redecided,
  redecide,
  redecideBeforeLimits,
  redecideCounted,
  type Undecidable,
} from "./redecide.js";

/** Returns the compiled unit of a service, or undefined if the policy has no such service. */
export type UnitOf = (service: string) => CompiledUnit | undefined;

export interface ReplaySides {
  readonly candidate: UnitOf;
  /**
   * Returns the policy of a revision, or undefined if the revision is not available; then its decisions are not
   * checked.
   */
  own(revision: number): UnitOf | undefined;
}

/** A group of calls that the candidate would decide differently. */
export interface Flip {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  /**
   * The recorded verdict, with the version in brackets where a route chose one, and after "as" the method if it is not
   * `method`.
   */
  readonly before: string;
  readonly after: string;
  /** The rule by which the candidate decides. */
  readonly rule: string;
  readonly count: number;
  /** The estimated number of calls in the group: a sampled decision stands for others. */
  readonly estimate: number;
  readonly samples: readonly string[];
}

export interface Mismatch {
  readonly id: string;
  readonly revision: number;
  readonly recorded: string;
  readonly again: string;
}

export interface ReplayResult {
  /**
   * `decisions`: the records that were read. `counted`: the refusals that were only counted. `dropped`: the decisions
   * that proxies dropped.
   */
  readonly decisions: number;
  readonly counted: number;
  readonly dropped: number;
  /** The estimated number of calls that the decisions stand for. */
  readonly estimate: number;
  /** Estimated calls by what the candidate decides: the same, otherwise, or not decidable. */
  readonly same: number;
  readonly flipped: number;
  readonly undecidable: number;
  /** Sorted by frequency, the most frequent first. */
  readonly flips: readonly Flip[];
  /** Flips that are not in `flips`, because the list of groups was full. */
  readonly flipsUnlisted: number;
  /** Values that the candidate reads and that were not recorded, the most frequent first. */
  readonly unknown: readonly { readonly what: string; readonly count: number }[];
  /** Decisions by what their own revision decides now: the same, something else, or not checked. */
  readonly reproduced: number;
  readonly mismatched: number;
  readonly unchecked: number;
  readonly mismatches: readonly Mismatch[];
  /**
   * The estimated share of inbound calls that are refused, as recorded and under the candidate, from 0 to 1; undefined:
   * there were no inbound calls.
   */
  readonly refusedShare: number | undefined;
  readonly predictedRefusedShare: number | undefined;
}

/** One record, or a group of counted refusals, with the decision of then and the candidate's. */
interface Compared {
  readonly before: Outcome;
  readonly again: Redecided;
  readonly count: number;
  readonly weight: number;
  readonly id: string | undefined;
}

const flipsMax = 10_000;
const unknownMax = 100;
const mismatchesMax = 20;

/** Takes batches one by one and keeps a bounded result of them. */
export class Replay {
  readonly #sides: ReplaySides;
  readonly #samplesMax: number;
  readonly #limits = new LimitStage();
  readonly #flips = new Map<string, { -readonly [Field in keyof Flip]: Flip[Field] } & { samples: string[] }>();
  readonly #unknown = new Map<string, number>();
  readonly #mismatches: Mismatch[] = [];
  #decisions = 0;
  #counted = 0;
  #dropped = 0;
  #estimate = 0;
  #same = 0;
  #flipped = 0;
  #undecidable = 0;
  #flipsUnlisted = 0;
  #reproduced = 0;
  #mismatched = 0;
  #unchecked = 0;
  #inbound = 0;
  #refused = 0;
  #told = 0;
  #predicted = 0;

  constructor(sides: ReplaySides, samplesMax = 3) {
    this.#sides = sides;
    this.#samplesMax = samplesMax;
  }

  add(batch: DecisionBatch): void {
    this.#dropped += batch.dropped;
    this.#limits.unseen(batch, this.#sides.candidate);
    for (const record of batch.decisions) if (!record.shadow) this.#addRecord(record, batch);
    for (const count of batch.counted) this.#addCount(batch, count);
  }

  #addRecord(record: DecisionRecord, batch: DecisionBatch): void {
    const weight = weightOf(record, batch.share);
    this.#decisions += 1;
    this.#estimate += weight;
    const policy = this.#sides.own(record.revision);
    const own = policy?.(record.service);
    this.#check(record, policy && redecide(record, own, "recorded"));
    const unit = this.#sides.candidate(record.service);
    const again = redecideBeforeLimits(record, unit, "candidate");
    if (record.direction === "outbound" || record.direction === "edge") this.#settle(record, again, weight);
    else
      this.#limits.record(batch, record, weight, { unit, own }, again, (told) => {
        this.#predict(isRefusal(record.verdict), told, weight);
        this.#settle(record, told, weight);
      });
  }

  #settle(record: DecisionRecord, again: Redecided | Undecidable, weight: number): void {
    const { verdict, version } = record;
    const before = { verdict, version, method: judgedMethod(record), isRouting: record.direction === "outbound" };
    if (again.kind === "undecidable") this.#cannotTell(again, 1);
    else this.#compare(record, { before, again, count: 1, weight, id: record.id });
  }

  #addCount(batch: DecisionBatch, counted: RefusalCount): void {
    const { service } = batch;
    this.#counted += counted.count;
    this.#estimate += counted.count;
    const unit = this.#sides.candidate(service);
    const own = this.#sides.own(counted.revision)?.(service);
    const again = redecideCounted(counted, unit, (text) => parseSpiffeId(text));
    const isOfGateway = gatewayNameIn(service) !== undefined;
    this.#limits.refusals(batch, counted, { unit, own }, again, (told, count) => {
      if (!isOfGateway) this.#predict(true, told, count);
      if (told.kind === "undecidable") this.#cannotTell(told, count);
      else
        this.#compare(
          { ...counted, service },
          { before: { ...counted, version: "", isRouting: false }, again: told, count, weight: count, id: undefined },
        );
    });
  }

  #check(record: DecisionRecord, again: Redecided | Undecidable | undefined): void {
    if (again === undefined || again.kind === "undecidable") {
      this.#unchecked += 1;
    } else if (isSame(record, again)) {
      this.#reproduced += 1;
    } else {
      this.#mismatched += 1;
      if (this.#mismatches.length >= mismatchesMax) return;
      const { id, revision, rule, method } = record;
      const recorded = `${renderOutcome({ ...record, method: judgedMethod(record) }, method)} by ${rule || "no route"}`;
      const now = `${renderOutcome(again, method)} by ${again.rule || "no route"}`;
      this.#mismatches.push({ id, revision, recorded, again: now });
    }
  }

  #predict(wasRefused: boolean, again: Redecided | Undecidable, weight: number): void {
    this.#inbound += weight;
    if (wasRefused) this.#refused += weight;
    if (again.kind === "undecidable") return;
    this.#told += weight;
    if (isRefusal(again.verdict)) this.#predicted += weight;
  }

  #cannotTell({ unknown }: Undecidable, count: number): void {
    this.#undecidable += count;
    for (const what of unknown) {
      const before = this.#unknown.get(what);
      if (before !== undefined || this.#unknown.size < unknownMax) this.#unknown.set(what, (before ?? 0) + count);
    }
  }

  #compare(
    { caller, service, method }: Pick<Flip, "caller" | "service" | "method">,
    { before, again, count, weight, id }: Compared,
  ): void {
    if (isLike(before, again)) {
      this.#same += count;
      return;
    }
    this.#flipped += count;
    const [then, after] = [renderOutcome(before, method), renderOutcome(again, method)];
    const key = `${caller} ${service} ${method} ${then} ${after}`;
    const known = this.#flips.get(key);
    if (known !== undefined) {
      known.count += count;
      known.estimate += weight;
      if (id !== undefined && known.samples.length < this.#samplesMax) known.samples.push(id);
    } else if (this.#flips.size < flipsMax) {
      const samples = id === undefined ? [] : [id];
      const { rule } = again;
      this.#flips.set(key, { caller, service, method, before: then, after, rule, count, estimate: weight, samples });
    } else this.#flipsUnlisted += count;
  }

  result(): ReplayResult {
    this.#limits.flush();
    const unknown = [...this.#unknown].map(([what, count]) => ({ what, count })).sort((a, b) => b.count - a.count);
    return {
      decisions: this.#decisions,
      counted: this.#counted,
      dropped: this.#dropped,
      estimate: Math.round(this.#estimate),
      same: this.#same,
      flipped: this.#flipped,
      undecidable: this.#undecidable,
      flips: [...this.#flips.values()]
        .sort((a, b) => b.count - a.count)
        .map((flip) => ({ ...flip, estimate: Math.round(flip.estimate) })),
      flipsUnlisted: this.#flipsUnlisted,
      unknown,
      reproduced: this.#reproduced,
      mismatched: this.#mismatched,
      unchecked: this.#unchecked,
      mismatches: this.#mismatches,
      refusedShare: this.#inbound === 0 ? undefined : this.#refused / this.#inbound,
      predictedRefusedShare: this.#told === 0 ? undefined : this.#predicted / this.#told,
    };
  }
}

/** Returns how many calls a recorded decision stands for. */
function weightOf({ verdict }: DecisionRecord, share: number): number {
  return isRefusal(verdict) || share <= 0 ? 1 : 1 / share;
}

/** The recorded decision about a call. */
interface Outcome {
  readonly verdict: Verdict;
  readonly version: string;
  /** The method that the destination judges. */
  readonly method: string;
  /** True if the decision was where the call goes, false if it was whether the call may pass. */
  readonly isRouting: boolean;
}

/**
 * Returns whether both decisions agree. The method counts for routing only: whether a call may pass does not depend on
 * how it is rewritten.
 */
function isLike(before: Outcome, again: Redecided): boolean {
  if (before.verdict !== again.verdict || before.version !== again.version) return false;
  return !before.isRouting || before.method === again.method;
}

/** Renders an outcome; its method is left out if it equals `called`. */
function renderOutcome({ verdict, version, method }: Pick<Outcome, "verdict" | "version" | "method">, called: string) {
  const where = version === "" ? "" : ` (${version})`;
  return method === called ? `${verdict}${where}` : `${verdict}${where} as ${method}`;
}
