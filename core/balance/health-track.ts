/** Whether an application is healthy, by checks that succeed or fail one after the other. Pure. */
export class HealthTrack {
  readonly #unhealthyAfter: number;
  readonly #healthyAfter: number;
  #isHealthy: boolean;
  #streak = 0;

  /** `isHealthy`: what counts until enough checks were made. */
  constructor(bounds: { readonly unhealthyAfter: number; readonly healthyAfter: number }, isHealthy: boolean) {
    this.#unhealthyAfter = bounds.unhealthyAfter;
    this.#healthyAfter = bounds.healthyAfter;
    this.#isHealthy = isHealthy;
  }

  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** A check was made; returns whether that changed what counts. */
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
