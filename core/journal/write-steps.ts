/**
 * The way of one write through the journal, without clock and network: a generator that asks for one step after the other
 * and ends with what the caller gets. A proxy performs the steps on its connections; the simulation on a log in memory,
 * where proxies die at each of them.
 */

/** An entry that is in the log, as far as a write asks. */
export interface FoundEntry {
  /** It has the very bytes that this write sent: the acknowledgement of an earlier try was lost. */
  readonly isOwn: boolean;
  /** It is an entry of this write's idempotency key, stored under the message id of that key. */
  readonly isOfKey: boolean;
  readonly isOrdered: boolean;
  readonly expected: number;
  /** It has the same request and order key as this write. */
  readonly isSameRequest: boolean;
}

/** What settled an entry. */
export interface FoundOutcome {
  readonly notForwarded: boolean;
  readonly behind: number;
}

/** Everything up to `through` was let go; the order key had this head there (0: none). */
export interface LetGoOfKey {
  readonly through: number;
  readonly head: number;
}

/** What is asked for. */
export type Step =
  /** The head of the order key. `fresh`: read from the log; else it may be remembered. It may be behind: the log decides. */
  | { readonly kind: "head"; readonly fresh: boolean }
  /** Appends the entry, and repeats it under its message id until it is acknowledged or time is up. */
  | { readonly kind: "append"; readonly expected: number; readonly afterVoid: number }
  /** `of`: an entry of the same order key, or there is "none"; 0: of whichever. "doubtful": it says it is one, and no proxy signed it. */
  | { readonly kind: "entry"; readonly sequence: number; readonly of: number }
  /** The first entry in (after, until] of the order key of `until` that expects `after`; the log was read whole up to it. */
  | { readonly kind: "first-after"; readonly after: number; readonly until: number }
  /**
   * What was let go of the order key of `of`, read after `of` was seen in the log. `after`: the entry that is asked about;
   * where nothing from it on can have been let go, nothing need be read.
   */
  | { readonly kind: "let-go"; readonly of: number; readonly after: number }
  /** Whether it is known to be a valid entry of the order key of `of`, as one with an outcome is. No proves nothing. */
  | { readonly kind: "is-known"; readonly sequence: number; readonly of: number }
  /** Waits, within a bound, for what settles the entry. */
  | { readonly kind: "outcome"; readonly sequence: number }
  | { readonly kind: "forward"; readonly sequence: number }
  /** Records what `forward` got, or that nothing was forwarded; `behind` as in FoundOutcome. */
  | { readonly kind: "record"; readonly sequence: number; readonly notForwarded: boolean; readonly behind: number };

/** What each step results in; undefined: it failed, or was not known in time. */
export interface Results<Outcome extends FoundOutcome> {
  readonly head: number | undefined;
  readonly append: { readonly sequence: number; readonly isDuplicate: boolean } | undefined;
  readonly entry: FoundEntry | "none" | "doubtful" | undefined;
  readonly "first-after": number | undefined;
  readonly "let-go": LetGoOfKey | undefined;
  readonly "is-known": boolean;
  /** "let-go": it was settled, and what became of it is not there any more. */
  readonly outcome: Outcome | "in-flight" | "unknown" | "let-go";
  /** "lost": the application got it, or may have, and nobody knows more. */
  readonly forward: "answered" | "not-forwarded" | "lost";
  readonly record: boolean;
}

/** How a write ends for its caller. `head`: 0 if it is not known. */
export type WriteEnd<Outcome> =
  /** The application answered. `isDurable`: so it is recorded. */
  | { readonly kind: "applied"; readonly sequence: number; readonly isDurable: boolean }
  /** The outcome of an earlier call under this key. */
  | { readonly kind: "recorded"; readonly sequence: number; readonly outcome: Outcome }
  /** Another write of the order key came first. */
  | { readonly kind: "conflict"; readonly head: number }
  | { readonly kind: "other-request"; readonly sequence: number }
  /** An earlier call under this key, or a write before it of its order key, is under way. */
  | { readonly kind: "in-flight"; readonly sequence: number }
  | { readonly kind: "blocked"; readonly sequence: number; readonly by: number }
  | { readonly kind: "not-forwarded"; readonly sequence: number }
  | { readonly kind: "unknown"; readonly sequence: number }
  /** Something that is no entry of this key was stored under its message id: by whom, only that message says. */
  | { readonly kind: "taken"; readonly sequence: number }
  /** Nothing was appended, as far as is known, or the log could not be read: the application saw nothing. */
  | { readonly kind: "unavailable" };

export interface Write {
  readonly isOrdered: boolean;
  readonly isKeyed: boolean;
  /** The head that the caller says it knows; undefined: it says none. */
  readonly expected: number | undefined;
}

/** Messages under the ids of one key of which all but the last are void, were not forwarded, or are no entries of it. */
const triesMax = 64;
/** Appends of one call that expects nothing and finds that another proxy came first. */
const racesMax = 3;
const ancestorsMax = 32;
/** What is judged anew because something was let go meanwhile. */
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
        // who repeats this key finds the same there and goes on behind it, unless an entry may become one with trust
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
   * Whether an entry with an order key is valid. It is void if an entry before it expects the same, or if what it expects is
   * void; so this goes back until an entry that is known to be valid, or what was let go. undefined: not known.
   */
  *#isValid(sequence: number, expected: number): Steps<boolean | undefined> {
    for (let times = 0; times < letGoMax; times += 1) {
      const judged = yield* this.#judge(sequence, expected);
      if (judged !== "again") return judged;
    }
    return undefined;
  }

  /** "again": what it went back to was let go meanwhile. */
  *#judge(sequence: number, expected: number): Steps<boolean | "again" | undefined> {
    let [until, after] = [sequence, expected];
    for (let depth = 0; depth < ancestorsMax; depth += 1) {
      if (after >= until) return false; // it expects what came later
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

  /** The end of a call whose key another call's valid entry has; undefined: that one was not forwarded. */
  *#repeat(sequence: number, { isSameRequest }: FoundEntry): Steps<WriteEnd<Outcome> | undefined> {
    if (!isSameRequest) return { kind: "other-request", sequence };
    const outcome = yield* this.#ask({ kind: "outcome", sequence });
    if (outcome === "let-go") return { kind: "unknown", sequence };
    if (outcome === "in-flight" || outcome === "unknown") return { kind: outcome, sequence };
    return outcome.notForwarded ? undefined : { kind: "recorded", sequence, outcome };
  }

  /** Forwards this write's own valid entry once what is before it is settled. */
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
