import { messageOf } from "../core/errors.js";
import type { Logger } from "../runtime/log.js";

/** Things to undo, last first. */
export class Cleanup {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  /** Every step is tried, whatever becomes of the others. */
  async run(log: Logger): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        log.warn("not stopped cleanly", { why: messageOf(error) });
      }
    }
  }
}
