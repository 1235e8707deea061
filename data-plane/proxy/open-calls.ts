import type { SpiffeId } from "../../core/identity.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import type { EvaluatedPolicy } from "../ports.js";
import { type Answer, deniedAnswer } from "./answer.js";

/** A call that was allowed and is not over. */
export interface OpenCall {
  readonly caller: SpiffeId;
  readonly method: string;
  /** What conditions may ask about it: the same at every judgement. */
  readonly inputs: CallInputs;
  /** Ends it with an answer of the proxy's own. */
  end(answer: Answer): void;
}

/** The calls that are open at the application. */
export class OpenCalls {
  readonly #calls = new Set<OpenCall>();
  readonly #waiting: (() => void)[] = [];

  get size(): number {
    return this.#calls.size;
  }

  /** Returns the way to take it out again. */
  add(call: OpenCall): () => void {
    this.#calls.add(call);
    return () => {
      if (!this.#calls.delete(call) || this.#calls.size > 0) return;
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  /** I10: judges every open call by `policy` and ends those that it refuses; the others go on untouched. */
  judgeAgain(policy: EvaluatedPolicy, service: string, newDecisionId: () => string): number {
    const unit = policy.unit(service);
    let ended = 0;
    for (const call of [...this.#calls]) {
      if (isAllowed(() => unit?.evaluateCall(call.caller, call.method, call.inputs).allow)) continue;
      call.end(deniedAnswer(newDecisionId(), policy.revision));
      ended += 1;
    }
    return ended;
  }

  /** Resolves when no call is open, or when `signal` aborts. */
  whenNone(signal: AbortSignal): Promise<void> {
    if (this.#calls.size === 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

/** I4: an evaluation that fails denies. */
function isAllowed(evaluate: () => boolean | undefined): boolean {
  try {
    return evaluate() === true;
  } catch {
    return false;
  }
}
