/** Rate limits as policy has them. */

/** What makes the key of a limit; "claim:" and "header:" are followed by a name. */
export type LimitKeyPart = "caller" | "method" | `claim:${string}` | `header:${string}`;

export interface MethodCost {
  /** "package.Service/Method", "package.Service/*" or "*". */
  readonly method: string;
  /** 0: free. */
  readonly cost: number;
}

/** One budget for each key: a token bucket. */
export interface Limit {
  /** Sorted; empty: one key for all calls. */
  readonly per: readonly LimitKeyPart[];
  /** Which calls it is about, as in an authorization. Empty: all. */
  readonly methods: readonly string[];
  /** Tokens that come back in `periodMs`. */
  readonly tokens: number;
  /** 1000, 60,000 or 3,600,000. */
  readonly periodMs: number;
  /** The most tokens that a key can have. */
  readonly burst: number;
  /** What calls cost where that is not 1, sorted by method; of several that match the nearest counts. */
  readonly costs: readonly MethodCost[];
  /** "proxy": each has a budget of its own. "mesh": all proxies of the service share one. */
  readonly scope: "proxy" | "mesh";
  /** What a proxy does that is cut off from its peers; undefined where nothing is shared. */
  readonly disconnected: "share" | "full" | "closed" | undefined;
}

/** How often a service may be called: a call passes if every limit about it has enough left. */
export interface RateLimit {
  readonly kind: "RateLimit";
  readonly name: string;
  readonly service: string;
  readonly limits: readonly Limit[];
}
