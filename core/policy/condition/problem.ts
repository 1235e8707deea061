/** A problem with an expression. */
export interface ConditionProblem {
  /** The offset of the problem in the expression, in UTF-16 code units from 0. */
  readonly offset: number;
  readonly message: string;
}

const problemsMax = 20;

/** Collects problems up to a bound, one for each place. */
export class ProblemList {
  readonly #problems: ConditionProblem[] = [];

  get problems(): readonly ConditionProblem[] {
    return this.#problems;
  }

  add(offset: number, message: string): void {
    if (this.#problems.length >= problemsMax || this.#problems.some((each) => each.offset === offset)) return;
    this.#problems.push({ offset, message });
  }
}
