/**
 * Divides one budget: everyone gets what they ask for; if the sum is too much, those who ask for more get equal parts.
 */

/** The number of proxies and processes that share a budget. */
export interface Sharers {
  /** Proxies, this one included; at least 1. */
  readonly members: number;
  /** Processes of this proxy that carry calls, this one included; at least 1. */
  readonly workers: number;
}

/** What is known of the others at a tick. */
export interface ShareSurroundings extends Sharers {
  /** False while the proxy is cut off: reports of other proxies neither arrive nor leave. */
  readonly connected: boolean;
  /** Milliseconds between two reports. */
  readonly intervalMs: number;
}

/** The factor by which an unsaturated peer may exceed its last demand, since demand changes between two reports. */
const headroom = 1.1;

/**
 * The part of `rate` for one who asks `own` while others ask `others` (all tokens a millisecond), of `members` in all,
 * those that ask nothing included; from 0 to 1. All that know the same demands divide alike, and the parts that are
 * used have the sum 1: what a peer claims to need takes from the others at most their equal parts.
 */
export function fairShare(rate: number, own: number, others: readonly number[], members: number): number {
  const capped = others.map((demand) => Math.min(rate, demand));
  const mine = Math.min(rate, own);
  const total = capped.reduce((sum, demand) => sum + demand, mine);
  const all = Math.max(1, members, others.length + 1);
  if (total <= rate) return (mine + (rate - total) / all) / rate;
  const level = waterLevel(rate, [...capped, mine]);
  return Math.min(level, mine < level ? mine * headroom : level) / rate;
}

/**
 * Returns what `fairShare` does, for one of `workers` processes of a proxy: proxies divide among each other by what each asks in all,
 * however many processes it has, and a proxy's workers divide what is its own. `siblings` are asked by the workers of
 * this proxy, `others` by whole proxies; `members` counts proxies.
 */
export function fairShareOfWorker(
  rate: number,
  own: number,
  siblings: readonly number[],
  others: readonly number[],
  { members, workers }: Sharers,
): number {
  const asked = siblings.reduce((sum, demand) => sum + demand, own);
  const ofProxy = fairShare(rate, asked, others, members);
  if ((workers <= 1 && siblings.length === 0) || ofProxy === 0) return ofProxy;
  return ofProxy * fairShare(rate * ofProxy, own, siblings, workers);
}

/**
 * The part of the tokens that others gave up that falls to one who asks `own`: those with more than an even part of the
 * rate need them, each as it asks; 0: it does not need them.
 */
export function partOfReleased(
  rate: number,
  own: number,
  siblings: readonly number[],
  others: readonly number[],
  { members, workers }: Sharers,
): number {
  const sumOf = (demands: readonly number[]): number => demands.reduce((sum, one) => sum + one, 0);
  const isNeedy = (demand: number, sharers: number): boolean => demand * sharers > rate;
  if (!isNeedy(own, members * workers)) return 0;
  if (others.length > 0 && !isNeedy(own + sumOf(siblings), members)) return 0; // others see what a proxy asks in all
  const neededHere = sumOf(siblings.filter((demand) => isNeedy(demand, members * workers)));
  return own / (own + neededHere + sumOf(others.filter((demand) => isNeedy(demand, members))));
}

/** The level to which each may be filled so that the sum is `rate`; the sum of `demands` is above it. */
function waterLevel(rate: number, demands: readonly number[]): number {
  const sorted = [...demands].sort((a, b) => a - b);
  let left = rate;
  for (const [index, demand] of sorted.entries()) {
    const level = left / (sorted.length - index);
    if (demand >= level) return level;
    left -= demand;
  }
  return left;
}
