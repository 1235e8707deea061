/** Shared limits in a worker. The demand of other workers and proxies arrives through the first process. */
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import type { LimitExchange, ReportListener } from "../limits/limit-exchange.js";
import { listen } from "../sync/policy-view.js";
import type { FromWorker, ToWorker } from "./messages.js";

export class WorkerLimits implements LimitExchange {
  readonly #send: (message: FromWorker) => void;
  readonly #listeners = new Set<ReportListener>();
  readonly workers: number;
  members = 1;
  connected = true;

  /** `workers`: the number of the proxy's workers. */
  constructor(send: (message: FromWorker) => void, workers: number) {
    this.#send = send;
    this.workers = workers;
  }

  publish(report: LimitReport, scope: Limit["scope"]): void {
    this.#send({ kind: "limits", scope, report });
  }

  onReport(listener: ReportListener): () => void {
    return listen(this.#listeners, listener);
  }

  /** Takes a message of the first process. */
  take(message: ToWorker & { readonly kind: "limits" | "sharing" }): void {
    if (message.kind === "sharing") {
      this.members = message.members;
      this.connected = message.connected;
      return;
    }
    for (const listener of this.#listeners) listener(message.peer, message.report, message.origin);
  }
}
