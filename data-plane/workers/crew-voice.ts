import type { Digest } from "../../core/digest.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import type { JournalAnswer } from "./journal-questions.js";
import type { Answered, Question } from "./messages.js";

/** Tells workers what they must know, and handles their reports. */
export interface CrewVoice {
  /** Called when a worker runs and has no state yet. */
  brief(worker: number): void;
  asked(worker: number, what: Question): Promise<boolean | JournalAnswer>;
  refused(worker: number, instance: string): void;
  /** Called with an encoded report of calls that a worker shows. Fails if the bytes are no report. */
  tapped(report: Uint8Array): void;
  /** Called with a worker's demand for shared limits. */
  limits(worker: number, report: LimitReport, scope: Limit["scope"]): void;
  /** Called when all workers that carry calls judge by this epoch. 0: no worker carries calls. */
  evaluating(epoch: number): void;
  /** Called when no worker needs to compile the revision any more. `problem`: why one failed. */
  prepared(digest: Digest, problem: string | undefined): void;
  gone(worker: number): void;
  /** Called every half second. */
  tick(): void;
}

/** Returns the answer to a question. A failure is also an answer. */
export async function answerTo(voice: CrewVoice | undefined, worker: number, what: Question): Promise<Answered> {
  try {
    return { ok: true, value: (await voice?.asked(worker, what)) ?? false };
  } catch (error) {
    const code = isAshlarError(error) ? error.code : "internal";
    return { ok: false, code, message: messageOf(error) };
  }
}
