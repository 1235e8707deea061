/** Decides whether an application is healthy, from checks that succeed or fail one after the other. Pure. */
export class HealthTrack {
  readonly #unhealthyAfter: number;
  readonly #healthyAfter: number;
  #isHealthy: boolean;
  #streak = 0;

  /** `isHealthy`: the state that holds until enough checks were made. */
  constructor(bounds: { readonly unhealthyAfter: number; readonly healthyAfter: number }, isHealthy: boolean) {
    this.#unhealthyAfter = bounds.unhealthyAfter;
    this.#healthyAfter = bounds.healthyAfter;
    this.#isHealthy = isHealthy;
  }

  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** Notes the result of one check. Returns whether it changed the state. */
  note(succeeded: boolean): boolean {
    if (succeeded === this.#isHealthy) {
      this.#streak = 0;
      return false;
    }
    this.#streak++;
    if (this.#streak < (this.#isHealthy ? this.#unhealthyAfter : this.#healthyAfter)) return false;
    this.#isHealthy = succeeded;
    this.#streak = 0;
    return true;
  }
}
