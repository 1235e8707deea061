/** The pure part of a log: which of the records that were found make up its history. */
import { type Digest, digestOf } from "../../core/digest.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import type { LogLaw } from "./log-laws.js";

/** Keys that sign now, and keys that did: what the latter signed counts only as an ancestor of what the former signed. */
export interface LogKeys {
  readonly current: KeySet;
  readonly former: KeySet;
}

export const noKeys: LogKeys = { current: new Map(), former: new Map() };

/** What came of offering a record. */
export type Offered<Body> =
  | { readonly kind: "adopted"; readonly records: readonly Signed<Body>[] }
  /** Its signature holds, but it is not (or not yet) part of the history. */
  | { readonly kind: "kept" }
  /** A key signed it that is trusted no more, and nothing that holds leads to it. */
  | { readonly kind: "former" }
  | { readonly kind: "known" }
  /** No trusted key signed it: it is judged again when the keys change. */
  | { readonly kind: "unknown-key" }
  | { readonly kind: "refused"; readonly why: string };

interface Candidate<Body> {
  readonly signed: Signed<Body>;
  readonly current: boolean;
}

const unknownMax = 10_000; // of either kind: records that are not ours to keep must not fill memory
const disputedShownMax = 10;

/**
 * The history is the chain that leads to the highest record signed by a current key. Two records of one
 * number are a dispute: `head` stays the one that came first, as the link for whoever writes next, the
 * dispute is told in `problems`, and the next higher record settles which branch is history.
 */
export class LogIndex<Body> {
  readonly #law: LogLaw<Body>;
  readonly #mesh: string;
  #keys: LogKeys = noKeys;
  #history: Signed<Body>[] = [];
  readonly #candidates = new Map<Digest, Candidate<Body>>();
  /** Current candidates above the history that do not lead to it yet. */
  readonly #loose = new Set<Digest>();
  #unknown = new Map<Digest, Uint8Array>();
  /** What was previewed last: the same bytes under the same keys need no second check. */
  #previewed: Signed<Body> | undefined;
  readonly #refused = new Map<Digest, string>();
  readonly #disputed = new Set<number>();
  #view: readonly Signed<Body>[] | undefined;

  constructor(law: LogLaw<Body>, mesh: string) {
    this.#law = law;
    this.#mesh = mesh;
  }

  head(): Signed<Body> | undefined {
    return this.#history.at(-1);
  }

  find(key: number): Signed<Body> | undefined {
    return this.#history[key - 1];
  }

  list(): readonly Signed<Body>[] {
    this.#view ??= Object.freeze(this.#history.slice());
    return this.#view;
  }

  /**
   * Takes a record that was committed, in any order and any number of times. `verifiedBefore`: it comes from
   * this control plane's own copy, where only what verified was written, so a former key is good enough.
   */
  offer(bytes: Uint8Array, options?: { readonly verifiedBefore: boolean }): Offered<Body> {
    const digest = digestOf(bytes);
    if (this.#candidates.has(digest) || this.#refused.has(digest)) return { kind: "known" };
    const previewed = this.#previewed?.digest === digest ? this.#previewed : undefined;
    const judged = previewed === undefined ? this.#judge(bytes) : { signed: previewed, current: true };
    if (judged === "unknown-key") {
      if (this.#unknown.size < unknownMax) this.#unknown.set(digest, bytes.slice());
      return { kind: "unknown-key" };
    }
    if (typeof judged === "string") {
      if (this.#refused.size < unknownMax) this.#refused.set(digest, judged);
      return { kind: "refused", why: judged };
    }
    const candidate = { ...judged, current: judged.current || options?.verifiedBefore === true };
    const records = this.#accept(candidate);
    if (records.length > 0) return { kind: "adopted", records };
    return { kind: candidate.current ? "kept" : "former" };
  }

  /** Takes a record that a former key signed for authentic, because a record of another log that holds names its digest. */
  endorse(digest: Digest): readonly Signed<Body>[] {
    const candidate = this.#candidates.get(digest);
    return candidate === undefined || candidate.current ? [] : this.#accept({ ...candidate, current: true });
  }

  /** Judges again, under new keys, what no key was known for. History stays what it is. Returns what was adopted. */
  useKeys(keys: LogKeys): readonly Signed<Body>[] {
    this.#keys = keys;
    this.#previewed = undefined;
    const unknown = [...this.#unknown.values()];
    this.#unknown.clear();
    return unknown.flatMap((bytes) => {
      const offered = this.offer(bytes);
      return offered.kind === "adopted" ? offered.records : [];
    });
  }

  /** What `bytes` would be under the current keys; undefined if they do not verify. Takes nothing. */
  preview(bytes: Uint8Array): Signed<Body> | undefined {
    try {
      this.#previewed = this.#law.verify(bytes, this.#mesh, this.#keys.current);
      return this.#previewed;
    } catch {
      return undefined;
    }
  }

  #judge(bytes: Uint8Array): Candidate<Body> | string {
    for (const [keys, current] of [
      [this.#keys.current, true],
      [this.#keys.former, false],
    ] as const) {
      try {
        return { signed: this.#law.verify(bytes, this.#mesh, keys), current };
      } catch (error) {
        if (!isAshlarError(error, "unauthenticated")) return messageOf(error);
      }
    }
    return "unknown-key";
  }

  /** Adopts the candidate if it may, and then whatever was waiting for it. */
  #accept(candidate: Candidate<Body>): readonly Signed<Body>[] {
    this.#candidates.set(candidate.signed.digest, candidate);
    const adopted = [...this.#adopt(candidate)];
    const above = this.#keyOf(candidate.signed) > this.#history.length;
    if (candidate.current && above) this.#loose.add(candidate.signed.digest);
    for (let progress = true; progress; ) {
      progress = false;
      for (const digest of this.#loose) {
        const waiting = this.#candidates.get(digest);
        const more = waiting === undefined ? [] : this.#adopt(waiting);
        progress ||= more.length > 0;
        adopted.push(...more);
        if (waiting === undefined || this.#keyOf(waiting.signed) <= this.#history.length) this.#loose.delete(digest);
      }
    }
    return adopted;
  }

  #adopt({ signed, current }: Candidate<Body>): readonly Signed<Body>[] {
    const key = this.#keyOf(signed);
    const chain = current ? this.#chainTo(signed) : undefined;
    if (key <= this.#history.length) {
      if (chain !== undefined && this.find(key)?.digest !== signed.digest) this.#disputed.add(key);
      return [];
    }
    if (chain === undefined) return [];
    const from = this.#keyOf(chain[0] ?? signed);
    for (let number = from; number <= this.#history.length; number += 1) this.#disputed.add(number);
    this.#history = [...this.#history.slice(0, from - 1), ...chain];
    this.#view = undefined;
    return chain;
  }

  /** The lawful chain from history, exclusively, to `signed`; undefined if a link is missing or the law is broken. */
  #chainTo(signed: Signed<Body>): Signed<Body>[] | undefined {
    const chain = [signed];
    for (let first = signed; ; ) {
      const link = this.#law.linkOf(first.body);
      const before = this.find(this.#keyOf(first) - 1);
      if (link === before?.digest) {
        return this.#isLawful(before, chain) ? chain : undefined;
      }
      const parent = link === undefined ? undefined : this.#candidates.get(link)?.signed;
      if (parent === undefined || this.#keyOf(parent) !== this.#keyOf(first) - 1) return undefined;
      chain.unshift(parent);
      first = parent;
    }
  }

  #isLawful(before: Signed<Body> | undefined, chain: readonly Signed<Body>[]): boolean {
    let head = before;
    for (const next of chain) {
      if (!this.#law.follows(head, next.body)) return false;
      head = next;
    }
    return true;
  }

  #keyOf(signed: Signed<Body>): number {
    return this.#law.keyOf(signed.body);
  }

  /** What is wrong now, for people. */
  problems(): string[] {
    const { name } = this.#law;
    const problems: string[] = [];
    const disputed = [...this.#disputed].filter((key) => key >= this.#history.length);
    for (const key of disputed.slice(0, disputedShownMax)) {
      problems.push(
        `${name}: two records of number ${key} were signed (equivocation); the next higher record settles it`,
      );
    }
    const [why] = [...this.#refused.values()].slice(-1);
    if (why !== undefined) {
      problems.push(`${name}: ${this.#refused.size} record(s) do not hold and are skipped; the last: ${why}`);
    }
    if (this.#unknown.size > 0) {
      problems.push(`${name}: ${this.#unknown.size} record(s) are skipped, signed by keys that are not trusted`);
    }
    const former = [...this.#candidates.values()].filter(
      ({ signed, current }) => !current && this.#keyOf(signed) > this.#history.length,
    ).length;
    if (former > 0) {
      problems.push(`${name}: ${former} record(s) are skipped, signed by keys that are trusted no more`);
    }
    if (this.#loose.size > 0) {
      problems.push(`${name}: ${this.#loose.size} record(s) do not follow from what came before and are skipped`);
    }
    return problems;
  }
}
