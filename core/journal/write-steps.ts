/**
 * How one write passes through the journal, as a generator without clock and network: it asks for one step after the
 * other and ends with the caller's answer. A proxy performs the steps on its connections; the simulation performs them
 * on a log in memory, where proxies die at each step.
 */

/** An entry in the log, with what a write needs to know of it. */
export interface FoundEntry {
  /** The entry has exactly the bytes that this write sent: the acknowledgement of an earlier append was lost. */
  readonly isOwn: boolean;
  /** The entry has this write's idempotency key and is stored under the message id of that key. */
  readonly isOfKey: boolean;
  readonly isOrdered: boolean;
  readonly expected: number;
  /** The entry has the same request and order key as this write. */
  readonly isSameRequest: boolean;
}

/** The record that settled an entry. */
export interface FoundOutcome {
  readonly notForwarded: boolean;
  readonly behind: number;
}

/**
 * Everything up to `through` was removed from the journal; `head` is the head that the order key had there (0: none).
 */
export interface LetGoOfKey {
  readonly through: number;
  readonly head: number;
}

/** A step that the performer carries out. */
export type Step =
  /**
   * Asks for the head of the order key. `fresh`: reads it from the log; otherwise a remembered one will do. It may be
   * outdated: the log decides.
   */
  | { readonly kind: "head"; readonly fresh: boolean }
  /** Appends the entry, and repeats the append under the same message id until it is acknowledged or time is up. */
  | { readonly kind: "append"; readonly expected: number; readonly afterVoid: number }
  /**
   * Reads the entry at `sequence`. `of`: the result is "none" unless the entry has the order key of this entry; 0: any
   * order key will do. "doubtful": the message claims to be an entry, and no proxy signed it.
   */
  | { readonly kind: "entry"; readonly sequence: number; readonly of: number }
  /**
   * Finds the first entry in (after, until] that has the order key of `until` and expects `after`. The log must have
   * been read completely up to `until`.
   */
  | { readonly kind: "first-after"; readonly after: number; readonly until: number }
  /**
   * Asks what was removed of the order key of `of`, read after `of` was seen in the log. `after`: the entry in
   * question; if nothing from it on can have been removed, nothing needs to be read.
   */
  | { readonly kind: "let-go"; readonly of: number; readonly after: number }
  /**
   * Asks whether the entry is known to be a valid entry of the order key of `of`, as an entry with an outcome is. A
   * "no" proves nothing.
   */
  | { readonly kind: "is-known"; readonly sequence: number; readonly of: number }
  /** Waits, within a bound, for the record that settles the entry. */
  | { readonly kind: "outcome"; readonly sequence: number }
  | { readonly kind: "forward"; readonly sequence: number }
  /** Records the result of `forward`, or that nothing was forwarded; `behind` is that of FoundOutcome. */
  | { readonly kind: "record"; readonly sequence: number; readonly notForwarded: boolean; readonly behind: number };

/** The results of the steps; undefined: the step failed, or its result was not known in time. */
export interface Results<Outcome extends FoundOutcome> {
  readonly head: number | undefined;
  readonly append: { readonly sequence: number; readonly isDuplicate: boolean } | undefined;
  readonly entry: FoundEntry | "none" | "doubtful" | undefined;
  readonly "first-after": number | undefined;
  readonly "let-go": LetGoOfKey | undefined;
  readonly "is-known": boolean;
  /** "let-go": the entry was settled, and its outcome has been removed from the journal. */
  readonly outcome: Outcome | "in-flight" | "unknown" | "let-go";
  /** "lost": the application got the call, or may have, and nobody knows how it ended. */
  readonly forward: "answered" | "not-forwarded" | "lost";
  readonly record: boolean;
}

/** How a write ends for its caller. `head`: the head of the order key; 0 if it is not known. */
export type WriteEnd<Outcome> =
  /** The application answered. `isDurable`: its outcome is recorded. */
  | { readonly kind: "applied"; readonly sequence: number; readonly isDurable: boolean }
  /** The answer is the recorded outcome of an earlier call with this key. */
  | { readonly kind: "recorded"; readonly sequence: number; readonly outcome: Outcome }
  /** Another write with the same order key came first. */
  | { readonly kind: "conflict"; readonly head: number }
  | { readonly kind: "other-request"; readonly sequence: number }
  /** An earlier call with this key, or an earlier write with the same order key, is still under way. */
  | { readonly kind: "in-flight"; readonly sequence: number }
  | { readonly kind: "blocked"; readonly sequence: number; readonly by: number }
  | { readonly kind: "not-forwarded"; readonly sequence: number }
  | { readonly kind: "unknown"; readonly sequence: number }
  /** The message stored under the id of this key is no entry of the key; only that message says who stored it. */
  | { readonly kind: "taken"; readonly sequence: number }
  /** Nothing is known to have been appended, or the log could not be read. The application did not see the call. */
  | { readonly kind: "unavailable" };

export interface Write {
  readonly isOrdered: boolean;
  readonly isKeyed: boolean;
  /** The head that the caller expects; undefined: the caller states none. */
  readonly expected: number | undefined;
}

/**
 * The most messages under the ids of one key that a call walks past because they are void, were not forwarded, or are
 * no entries of the key.
 */
const triesMax = 64;
/** The most appends of a call that expects no head and loses the race against other proxies. */
const racesMax = 3;
const ancestorsMax = 32;
/** The most times that a validity is judged again because entries were removed meanwhile. */
const letGoMax = 3;

type Steps<Result> = Generator<Step, Result, unknown>;

/** The steps of one write in mode "before". */
export class WriteSteps<Outcome extends FoundOutcome> {
  readonly #write: Write;

  constructor(write: Write) {
    this.#write = write;
  }

  *run(): Steps<WriteEnd<Outcome>> {
    const { isOrdered, isKeyed, expected: stated } = this.#write;
    let expected = stated ?? (isOrdered ? yield* this.#head(false) : 0);
    if (isOrdered && !isKeyed && stated !== undefined) {
      const head = yield* this.#head(false);
      if (head !== undefined && head > stated) return { kind: "conflict", head };
    }
    let afterVoid = 0;
    let races = 0;
    let taken = 0;
    for (let tries = 0; tries < triesMax; tries += 1) {
      if (expected === undefined) return { kind: "unavailable" };
      const appended = yield* this.#ask({ kind: "append", expected, afterVoid });
      if (appended === undefined) return { kind: "unavailable" };
      const { sequence, isDuplicate } = appended;
      const found = isDuplicate ? yield* this.#ask({ kind: "entry", sequence, of: 0 }) : undefined;
      if (isDuplicate && found === undefined) return { kind: "unavailable" };
      if (isDuplicate && (typeof found !== "object" || !(found.isOwn || found.isOfKey))) {
        // a caller who repeats this key finds the same message and continues behind it, unless the message may later
        // prove to be an entry
        if (found === "doubtful" || !isKeyed) return { kind: "taken", sequence };
        taken = afterVoid = sequence;
        continue;
      }
      const other = typeof found === "object" && !found.isOwn ? found : undefined;
      const named = other?.expected ?? expected;
      const isValid = (other?.isOrdered ?? isOrdered) ? yield* this.#isValid(sequence, named) : true;
      if (isValid === undefined) return { kind: "unknown", sequence };
      if (isValid && other === undefined) return yield* this.#apply(sequence, named);
      if (isValid && other !== undefined) {
        const end = yield* this.#repeat(sequence, other);
        if (end !== undefined) return end;
      }
      if (other === undefined) races += 1;
      const head = isOrdered ? yield* this.#head(true) : 0;
      if (races >= racesMax || (other === undefined && stated !== undefined))
        return { kind: "conflict", head: head ?? 0 };
      if (isKeyed) afterVoid = sequence;
      expected = stated ?? head;
    }
    return taken === 0 ? { kind: "unavailable" } : { kind: "taken", sequence: taken };
  }

  *#ask<S extends Step>(step: S): Steps<Results<Outcome>[S["kind"]]> {
    return (yield step) as Results<Outcome>[S["kind"]];
  }

  #head(fresh: boolean): Steps<number | undefined> {
    return this.#ask({ kind: "head", fresh });
  }

  /**
   * Returns whether an entry with an order key is valid, or undefined if that cannot be known. An entry is void if an
   * earlier entry expects the same head, or if the entry that it expects is void. So the search goes back to an entry
   * that is known to be valid, or to what was removed.
   */
  *#isValid(sequence: number, expected: number): Steps<boolean | undefined> {
    for (let times = 0; times < letGoMax; times += 1) {
      const judged = yield* this.#judge(sequence, expected);
      if (judged !== "again") return judged;
    }
    return undefined;
  }

  /** Judges like `#isValid`. Returns "again" if an entry that the search went back to was removed meanwhile. */
  *#judge(sequence: number, expected: number): Steps<boolean | "again" | undefined> {
    let [until, after] = [sequence, expected];
    for (let depth = 0; depth < ancestorsMax; depth += 1) {
      if (after >= until) return false; // the entry expects one that came later
      const first = yield* this.#ask({ kind: "first-after", after, until });
      if (first === undefined) return undefined;
      const letGo = yield* this.#ask({ kind: "let-go", of: until, after });
      if (letGo === undefined) return undefined;
      if (until <= letGo.through) return depth === 0 ? undefined : "again";
      if (first !== until) return false;
      if (after <= letGo.through) return after === letGo.head;
      if (yield* this.#ask({ kind: "is-known", sequence: after, of: until })) return true;
      const found = yield* this.#ask({ kind: "entry", sequence: after, of: until });
      if (found === undefined) return undefined;
      if (found === "doubtful") {
        const since = yield* this.#ask({ kind: "let-go", of: until, after });
        return since === undefined ? undefined : after <= since.through ? "again" : false;
      }
      if (found === "none" || !found.isOrdered) return false; // no entry of this order key is there
      [until, after] = [after, found.expected];
    }
    return undefined;
  }

  /**
   * Returns how a call ends whose key already belongs to another call's valid entry, or undefined if that entry was not
   * forwarded.
   */
  *#repeat(sequence: number, { isSameRequest }: FoundEntry): Steps<WriteEnd<Outcome> | undefined> {
    if (!isSameRequest) return { kind: "other-request", sequence };
    const outcome = yield* this.#ask({ kind: "outcome", sequence });
    if (outcome === "let-go") return { kind: "unknown", sequence };
    if (outcome === "in-flight" || outcome === "unknown") return { kind: outcome, sequence };
    return outcome.notForwarded ? undefined : { kind: "recorded", sequence, outcome };
  }

  /** Forwards this write's own valid entry once the entries before it are settled. */
  *#apply(sequence: number, named: number): Steps<WriteEnd<Outcome>> {
    let behind = this.#write.isOrdered ? named : 0;
    while (behind !== 0) {
      const outcome = yield* this.#ask({ kind: "outcome", sequence: behind });
      if (outcome === "in-flight" || outcome === "unknown") {
        yield* this.#ask({ kind: "record", sequence, notForwarded: true, behind });
        return { kind: "blocked", sequence, by: behind };
      }
      if (outcome === "let-go" || !outcome.notForwarded) break;
      behind = outcome.behind;
    }
    const forwarded = yield* this.#ask({ kind: "forward", sequence });
    if (forwarded === "lost") return { kind: "unknown", sequence };
    const notForwarded = forwarded === "not-forwarded";
    const isDurable = yield* this.#ask({ kind: "record", sequence, notForwarded, behind: notForwarded ? behind : 0 });
    return notForwarded ? { kind: "not-forwarded", sequence } : { kind: "applied", sequence, isDurable };
  }
}
