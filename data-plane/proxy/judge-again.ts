/** I10: what a new revision or trust refuses ends on open streams too. */
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { EvaluatedPolicy } from "../ports.js";
import { type Answer, internalAnswer } from "./answer.js";
import type { OpenCall, OpenCalls } from "./open-calls.js";
import type { ProxyMetrics } from "./proxy-metrics.js";

export interface JudgeAgainDeps {
  readonly clock: Clock;
  readonly metrics: ProxyMetrics;
  readonly log: Logger;
}

/** Judges every open call by `policy`, and ends those that `judge` gives an answer. */
export function judgeOpenCalls(
  open: OpenCalls,
  { clock, metrics, log }: JudgeAgainDeps,
  policy: EvaluatedPolicy,
  judge: (call: OpenCall) => Answer | undefined,
): void {
  const startedMs = clock.monotonicMs();
  const { size } = open;
  const ended = open.judgeAgain((call) => {
    try {
      return judge(call);
    } catch (error) {
      // a fault in one call must not leave other calls open
      log.error("a call cannot be judged again", { error: messageOf(error), method: call.method });
      return internalAnswer(policy.revision);
    }
  });
  if (size === 0) return;
  const tookMs = clock.monotonicMs() - startedMs;
  metrics.judgedAgain(size, ended, tookMs);
  if (ended > 0)
    log.info("open calls were ended, because a new revision or trust refuses them", {
      ended,
      revision: policy.revision,
      tookMs,
    });
}
