/** What the proxies of a service tell each other about budgets that they share. */

/** About one key of a limit. */
export interface KeyDemand {
  /** SHA-256 of the key, the first 16 bytes in base64url. */
  readonly key: string;
  /** Tokens a second that are asked for, those refused included. */
  readonly perSecond: number;
  /** Tokens that the sender had and has given up for the others in the last seconds, in all. */
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

/** Whether a report speaks for another proxy, or for a worker of this one. */
export type ReportOrigin = "proxy" | "worker";

/** Keys of one limit in one report: those with the most demand. */
export const reportedKeysMax = 128;
/** Limits in one report. */
export const reportedLimitsMax = 32;
