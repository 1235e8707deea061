import { messageOf } from "../core/errors.js";
import type { Logger } from "../runtime/log.js";

/** Runs clean-up steps in the reverse order in which they were added. */
export class Cleanup {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  /** Runs every step, even if others fail. */
  async run(log: Logger): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        log.warn("a part of the control plane did not stop cleanly", { why: messageOf(error) });
      }
    }
  }
}
