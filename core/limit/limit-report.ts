/** The reports by which the proxies of a service share budgets. */

/** The demand for one key of a limit. */
export interface KeyDemand {
  /** SHA-256 of the key, the first 16 bytes in base64url. */
  readonly key: string;
  /** The demand in tokens a second, including refused calls. */
  readonly perSecond: number;
  /** The tokens that the sender has released to the others in the last seconds, in all. */
  readonly released: number;
}

export interface LimitDemand {
  /** SHA-256 of the limit's definition, the first 16 bytes in base64url. */
  readonly limit: string;
  readonly keys: readonly KeyDemand[];
}

export interface LimitReport {
  readonly limits: readonly LimitDemand[];
}

/** Whether a report comes from another proxy, or from a worker of this proxy. */
export type ReportOrigin = "proxy" | "worker";

/** The most keys of one limit in a report: those with the highest demand. */
export const reportedKeysMax = 128;
/** The most limits in a report. */
export const reportedLimitsMax = 32;
