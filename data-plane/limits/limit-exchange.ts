/**
 * Exchanges reports between processes that share budgets. Reports may be lost but not changed, and their writer is
 * verified.
 */
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport, ReportOrigin } from "../../core/limit/limit-report.js";

export type ReportListener = (peer: string, report: LimitReport, origin: ReportOrigin) => void;

export interface LimitExchange {
  /** The number of proxies that share, including this one; at least 1. */
  readonly members: number;
  /** The number of this proxy's processes that carry calls, including this one; at least 1. */
  readonly workers: number;
  /** True while reports can be sent to and received from other proxies. */
  readonly connected: boolean;
  /** Publishes a report about limits of this scope; with scope "proxy" only to the other workers. Never waits. */
  publish(report: LimitReport, scope: Limit["scope"]): void;
  /** Calls `listener` with the reports of others. Returns a function that removes the listener. */
  onReport(listener: ReportListener): () => void;
}
