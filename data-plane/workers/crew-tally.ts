/** Sums the shadow counts of all workers, as of their last measures. */
import { type ShadowCounts, type ShadowFlips, shadowFlipsMax } from "../../core/shadow/shadow-model.js";
import type { EvaluatedPolicy } from "../ports.js";

const nameLengthMax = 2048;

export class CrewTally {
  readonly #serving: () => readonly number[];
  readonly #last = new Map<number, ShadowCounts | undefined>();
  #ended: ShadowCounts | undefined;

  /** `serving` returns the workers that carry calls. */
  constructor(serving: () => readonly number[]) {
    this.#serving = serving;
  }

  /** Takes a worker's counts. undefined: the worker evaluates no candidate. */
  take(worker: number, counts: ShadowCounts | undefined): void {
    this.#last.set(worker, counts);
  }

  /** Notes that a worker ended. Its counts stay. */
  gone(worker: number): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last === undefined || (this.#ended !== undefined && this.#ended.epoch > last.epoch)) return;
    this.#ended = sumOf(this.#ended !== undefined && isSame(this.#ended, last) ? [this.#ended, last] : [last]);
  }

  /**
   * Returns this candidate's counts since its epoch began. undefined: not every worker has confirmed that it evaluates
   * it.
   */
  read({ epoch, revisionDigest: digest }: EvaluatedPolicy): ShadowCounts | undefined {
    const counts: ShadowCounts[] = [];
    for (const worker of this.#serving()) {
      const last = this.#last.get(worker);
      if (last === undefined || !isSame(last, { epoch, digest })) return undefined;
      counts.push(last);
    }
    if (this.#ended !== undefined && isSame(this.#ended, { epoch, digest })) counts.push(this.#ended);
    return sumOf(counts);
  }
}

type Order = Pick<ShadowCounts, "epoch" | "digest">;

function isSame(a: Order, b: Order): boolean {
  return a.epoch === b.epoch && a.digest === b.digest;
}

function sumOf([first, ...rest]: readonly ShadowCounts[]): ShadowCounts | undefined {
  return first && rest.reduce(add, first);
}

function add(a: ShadowCounts, b: ShadowCounts): ShadowCounts {
  const flips = new Map<string, ShadowFlips>();
  for (const flip of [...a.flips, ...b.flips]) {
    const key = `${flip.caller} ${flip.method}`;
    const known = flips.get(key) ?? { ...flip, wouldDeny: 0, wouldAllow: 0 };
    const wouldDeny = known.wouldDeny + flip.wouldDeny;
    flips.set(key, { ...known, wouldDeny, wouldAllow: known.wouldAllow + flip.wouldAllow });
  }
  const size = ({ wouldDeny, wouldAllow }: ShadowFlips): number => wouldDeny + wouldAllow;
  return {
    epoch: a.epoch,
    digest: a.digest,
    same: a.same + b.same,
    errors: a.errors + b.errors,
    wouldDeny: a.wouldDeny + b.wouldDeny,
    wouldAllow: a.wouldAllow + b.wouldAllow,
    flips: [...flips.values()].sort((one, other) => size(other) - size(one)).slice(0, shadowFlipsMax),
  };
}

/** Returns whether the value is a valid tally of a worker. Workers read strangers' data and are not trusted blindly. */
export function isTally(value: unknown): value is ShadowCounts {
  if (typeof value !== "object" || value === null) return false;
  const { epoch, digest, same, wouldDeny, wouldAllow, errors, flips } = value as Partial<ShadowCounts>;
  if (![epoch, same, wouldDeny, wouldAllow, errors].every(isCount) || typeof digest !== "string") return false;
  return Array.isArray(flips) && flips.length <= shadowFlipsMax && flips.every(isFlip);
}

function isFlip(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { caller, method, wouldDeny, wouldAllow } = value as Partial<ShadowFlips>;
  return isName(caller) && isName(method) && isCount(wouldDeny) && isCount(wouldAllow);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isName(value: unknown): boolean {
  return typeof value === "string" && value.length > 0 && value.length <= nameLengthMax;
}
