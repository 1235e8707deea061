/** The pure part of a log: decides which of the found records form its history. */
import { type Digest, digestOf } from "../../core/digest.js";
import type { Signed } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import { LogHistory, type MissingRange } from "./log-history.js";
import { type Judged, judgeUnder, type LogKeys, noKeys, type Offered } from "./log-keys.js";
import type { LogLaw } from "./log-laws.js";
import { renderLogProblems } from "./log-problems.js";

const unknownMax = 10_000; // of either kind, so that records that are not kept cannot fill memory

/**
 * The history is the chain that leads to the highest record signed by a current key. Of two records with the same
 * number the first one that arrived is history, because the next writer links to it, until a higher record leads to the
 * other one. The record outside the history is a rival: an operator chooses (decision 0031).
 * A log that lost records has gaps. It continues from a record that it was told to begin at (decision 0014). Earlier
 * records that come back are accepted by the digest that the record after them names.
 */
export class LogIndex<Body> {
  readonly #law: LogLaw<Body>;
  readonly #mesh: string;
  #keys: LogKeys = noKeys;
  readonly #history: LogHistory<Body>;
  readonly #begins: Set<Digest>; // records at which history begins without the record before
  readonly #candidates = new Map<Digest, Judged<Body>>();
  /** Current candidates above the history that do not lead to it yet. */
  readonly #loose = new Set<Digest>();
  #unknown = new Map<Digest, Uint8Array>();
  /** The last previewed record: the same bytes under the same keys need no second check. */
  #previewed: Signed<Body> | undefined;
  readonly #refused = new Map<Digest, string>();
  readonly #rivals = new Map<Digest, Signed<Body>>();

  constructor(law: LogLaw<Body>, mesh: string, begins: readonly Digest[] = []) {
    this.#law = law;
    this.#mesh = mesh;
    this.#begins = new Set(begins);
    this.#history = new LogHistory(law.keyOf);
  }

  head(): Signed<Body> | undefined {
    return this.#history.find(this.#history.headKey);
  }

  find(key: number): Signed<Body> | undefined {
    return this.#history.find(key);
  }

  list(): readonly Signed<Body>[] {
    return this.#history.list();
  }

  /** Returns whether a record was offered before, whatever became of it. */
  has(digest: Digest): boolean {
    return this.#candidates.has(digest) || this.#refused.has(digest) || this.#unknown.has(digest);
  }

  /** Returns a record, in the history or not, that a presently trusted key signed or that a valid record names. */
  findSigned(digest: Digest): Signed<Body> | undefined {
    const one = this.#candidates.get(digest);
    return one?.current && this.#mayWait(one) ? one.signed : undefined;
  }

  /** Returns valid records whose number another record has that is history, or was when they came. */
  rivals(): readonly Signed<Body>[] {
    return [...this.#rivals.values()];
  }

  get begins(): readonly Digest[] {
    return [...this.#begins];
  }

  /** Returns the highest record whose signature holds and that does not lead back to the history. */
  ahead(): Signed<Body> | undefined {
    let highest: Signed<Body> | undefined;
    for (const digest of this.#loose) {
      const signed = this.#candidates.get(digest)?.signed;
      if (signed !== undefined && (highest === undefined || this.#keyOf(signed) > this.#keyOf(highest)))
        highest = signed;
    }
    return highest;
  }

  /** Returns the numbers below the head that have no record. */
  missing(): readonly MissingRange[] {
    return this.#history.gaps();
  }

  /**
   * Continues from the chain that leads to `ahead`, as far back as it is known, past lost records. What is before the
   * gap stays. Returns the adopted records; none if there is no record ahead.
   */
  beginAhead(): readonly Signed<Body>[] {
    const last = this.ahead();
    if (last === undefined) return [];
    const chain = this.#knownChainTo(last);
    const [first = last] = chain;
    this.#begins.add(first.digest);
    this.#take(chain);
    this.#dropRival(first);
    return [...chain, ...this.#settle()];
  }

  /**
   * Takes a record that was committed, in any order and any number of times. `verifiedBefore`: it comes from this
   * control plane's own copy, which contains only verified records, so a former key is enough.
   */
  offer(bytes: Uint8Array, options?: { readonly verifiedBefore: boolean }): Offered<Body> {
    const digest = digestOf(bytes);
    if (this.#candidates.has(digest) || this.#refused.has(digest)) return { kind: "known" };
    const previewed = this.#previewed?.digest === digest ? this.#previewed : undefined;
    const verify = (keys: KeySet) => this.#law.verify(bytes, this.#mesh, keys);
    const judged = previewed === undefined ? judgeUnder(this.#keys, verify) : { signed: previewed, current: true };
    if (judged === "unknown-key") {
      if (this.#unknown.size < unknownMax) this.#unknown.set(digest, bytes.slice());
      return { kind: "unknown-key" };
    }
    if (typeof judged === "string") {
      if (this.#refused.size < unknownMax) this.#refused.set(digest, judged);
      return { kind: "refused", why: judged };
    }
    const current = judged.current || options?.verifiedBefore === true;
    const records = this.#accept({ ...judged, current });
    return records.length > 0 ? { kind: "adopted", records } : { kind: current ? "kept" : "former" };
  }

  /** Accepts a record that a former key signed as authentic, because a valid record of another log names its digest. */
  endorse(digest: Digest): readonly Signed<Body>[] {
    const candidate = this.#candidates.get(digest);
    return candidate === undefined || candidate.current
      ? []
      : this.#accept({ ...candidate, current: true, endorsed: true });
  }

  /** Judges the records whose key was unknown again, under new keys. Returns the adopted records. */
  useKeys(keys: LogKeys): readonly Signed<Body>[] {
    this.#keys = keys;
    this.#previewed = undefined;
    this.#forgetLoose();
    const unknown = this.#unknown;
    this.#unknown = new Map();
    return [...unknown.values()].flatMap((bytes) => {
      const offered = this.offer(bytes);
      return offered.kind === "adopted" ? offered.records : [];
    });
  }

  /** Drops loose records: the holder of a dropped key may have signed a link to later records and shown only that. */
  #forgetLoose(): void {
    for (const digest of this.#loose) {
      const candidate = this.#candidates.get(digest);
      if (candidate === undefined || this.#mayWait(candidate)) continue;
      this.#loose.delete(digest);
      this.#candidates.set(digest, { ...candidate, current: false });
    }
  }

  #mayWait({ signed, endorsed = false }: Judged<Body>): boolean {
    return endorsed || this.#keys.current.has(signed.kid);
  }

  /** Returns `bytes` verified under the current keys, or undefined if they do not verify. Stores nothing. */
  preview(bytes: Uint8Array): Signed<Body> | undefined {
    try {
      this.#previewed = this.#law.verify(bytes, this.#mesh, this.#keys.current);
      return this.#previewed;
    } catch {
      return undefined;
    }
  }

  /** Adopts the candidate if it may, and then whatever was waiting for it. */
  #accept(candidate: Judged<Body>): readonly Signed<Body>[] {
    this.#candidates.set(candidate.signed.digest, candidate);
    const adopted = [...this.#adopt(candidate)];
    const above = this.#keyOf(candidate.signed) > this.#history.headKey;
    if (candidate.current && above && this.#mayWait(candidate)) this.#loose.add(candidate.signed.digest);
    return [...adopted, ...this.#settle()];
  }

  /** Adopts records that were waiting for those that have come. */
  #settle(): readonly Signed<Body>[] {
    const adopted: Signed<Body>[] = [];
    for (let progress = true; progress; ) {
      progress = false;
      for (const digest of this.#loose) {
        const waiting = this.#candidates.get(digest);
        const more = waiting === undefined ? [] : this.#adopt(waiting);
        progress ||= more.length > 0;
        adopted.push(...more);
        if (waiting !== undefined && this.#keyOf(waiting.signed) > this.#history.headKey) continue;
        this.#loose.delete(digest);
        if (waiting !== undefined) this.#noteRival(waiting.signed);
      }
    }
    return [...adopted, ...this.#fillGaps()];
  }

  /** Fills gaps with known records, which the digest in the record after them proves authentic. */
  #fillGaps(): readonly Signed<Body>[] {
    const filled: Signed<Body>[] = [];
    for (const { from, to } of this.missing()) {
      let after = this.find(to + 1);
      for (let key = to; key >= from && after !== undefined; key -= 1) {
        const link = this.#law.linkOf(after.body);
        const before = link === undefined ? undefined : this.#candidates.get(link)?.signed;
        if (before === undefined || !this.#law.follows(before, after.body)) break;
        filled.push(before);
        if (key === from) this.#dropRival(before);
        after = before;
      }
    }
    if (filled.length > 0) this.#history.fill(filled);
    return filled.sort((a, b) => this.#keyOf(a) - this.#keyOf(b));
  }

  /** Drops the record before `first` if `first` does not name it: it belongs to a branch outside the history. */
  #dropRival(first: Signed<Body>): void {
    const before = this.#keyOf(first) - 1;
    const rival = this.find(before);
    if (rival === undefined || rival.digest === this.#law.linkOf(first.body)) return;
    this.#rivals.set(rival.digest, rival);
    this.#history.remove(before);
  }

  #take(chain: readonly Signed<Body>[]): readonly Signed<Body>[] {
    for (const replaced of this.#history.extend(chain)) this.#rivals.set(replaced.digest, replaced);
    return chain;
  }

  #adopt({ signed, current }: Judged<Body>): readonly Signed<Body>[] {
    const key = this.#keyOf(signed);
    if (key <= this.#history.headKey) {
      if (current) this.#noteRival(signed);
      return [];
    }
    const chain = current ? this.#chainTo(signed) : undefined;
    return chain === undefined ? [] : this.#take(chain);
  }

  #noteRival(signed: Signed<Body>): void {
    const held = this.find(this.#keyOf(signed));
    if (held !== undefined && held.digest !== signed.digest) this.#rivals.set(signed.digest, signed);
  }

  /** Returns the lawful chain to `signed`, as far back as its records are known. */
  #knownChainTo(signed: Signed<Body>): Signed<Body>[] {
    const chain = [signed];
    for (let first = signed; ; ) {
      const link = this.#law.linkOf(first.body);
      const parent = link === undefined ? undefined : this.#candidates.get(link)?.signed;
      if (parent === undefined || !this.#law.follows(parent, first.body)) return chain;
      chain.unshift(parent);
      first = parent;
    }
  }

  /** Returns the lawful chain from the history (exclusive) or a beginning; undefined: it is broken or unlawful. */
  #chainTo(signed: Signed<Body>): Signed<Body>[] | undefined {
    const chain = [signed];
    for (let first = signed; ; ) {
      if (this.#begins.has(first.digest)) return this.#isLawful(undefined, chain, true) ? chain : undefined;
      const link = this.#law.linkOf(first.body);
      const before = this.find(this.#keyOf(first) - 1);
      if (link === before?.digest) return this.#isLawful(before, chain) ? chain : undefined;
      const parent = link === undefined ? undefined : this.#candidates.get(link)?.signed;
      if (parent === undefined || this.#keyOf(parent) !== this.#keyOf(first) - 1) return undefined;
      chain.unshift(parent);
      first = parent;
    }
  }

  /** Returns whether the chain obeys the law. `begins`: its first record may follow anything. */
  #isLawful(before: Signed<Body> | undefined, chain: readonly Signed<Body>[], begins = false): boolean {
    return chain.every(
      (next, place) => (begins && place === 0) || this.#law.follows(chain[place - 1] ?? before, next.body),
    );
  }

  #keyOf(signed: Signed<Body>): number {
    return this.#law.keyOf(signed.body);
  }

  /** Returns the present problems, for people. */
  problems(): string[] {
    const { headKey } = this.#history;
    const former = [...this.#candidates.values()].filter((one) => !one.current && this.#keyOf(one.signed) > headKey);
    return renderLogProblems({
      name: this.#law.name,
      refused: [...this.#refused.values()],
      unknown: this.#unknown.size,
      former: former.length,
      missing: this.missing(),
      loose: this.#loose.size,
    });
  }
}
