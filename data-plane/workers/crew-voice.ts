import type { Digest } from "../../core/digest.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import type { Answered, Question } from "./messages.js";

/** Who tells workers what they have to know, and hears what they say. */
export interface CrewVoice {
  /** A worker runs and knows nothing. */
  brief(worker: number): void;
  asked(worker: number, what: Question): Promise<boolean>;
  refused(worker: number, instance: string): void;
  /** A worker tells what is asked of limits that are shared. */
  limits(worker: number, report: LimitReport, scope: Limit["scope"]): void;
  /** All who carry calls judge by this epoch; 0: nobody does. */
  evaluating(epoch: number): void;
  /** Nobody has to compile it any more. */
  prepared(digest: Digest, problem: string | undefined): void;
  gone(worker: number): void;
  /** Every half second. */
  tick(): void;
}

/** What a question is answered with; a failure is an answer too. */
export async function answerTo(voice: CrewVoice | undefined, worker: number, what: Question): Promise<Answered> {
  try {
    return { ok: true, value: (await voice?.asked(worker, what)) ?? false };
  } catch (error) {
    const code = isAshlarError(error) ? error.code : "internal";
    return { ok: false, code, message: messageOf(error) };
  }
}
