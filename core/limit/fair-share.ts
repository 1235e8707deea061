/**
 * Divides one budget fairly. Everyone gets what they ask for; if the sum exceeds the budget, those who ask for more
 * than an equal part get equal parts.
 */

/** The number of proxies and processes that share a budget. */
export interface Sharers {
  /** The number of proxies, this one included; at least 1. */
  readonly members: number;
  /** The number of this proxy's processes that carry calls, this one included; at least 1. */
  readonly workers: number;
}

/** What a proxy knows at a tick about those that it shares with. */
export interface ShareSurroundings extends Sharers {
  /** False while the proxy is cut off: reports of other proxies neither arrive nor leave. */
  readonly connected: boolean;
  /** Milliseconds between two reports. */
  readonly intervalMs: number;
}

/** The factor by which an unsaturated peer may exceed its last demand, since demand changes between two reports. */
const headroom = 1.1;

/**
 * Returns the part of `rate`, from 0 to 1, for one who asks for `own` while others ask for `others` (all in tokens a
 * millisecond). `members`: the number of sharers, including those that ask for nothing. Sharers that know the same
 * demands divide equally, and the used parts add up to 1. A peer that overstates its demand takes at most the equal
 * parts of the others.
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
 * Returns what `fairShare` does, for one of `workers` processes of a proxy: proxies divide among each other by what
 * each asks in all, however many processes it has, and a proxy's workers divide what is its own. `siblings` are asked
 * by the workers of this proxy, `others` by whole proxies; `members` counts proxies.
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
 * Returns the part of released tokens, from 0 to 1, for one who asks for `own`. Those who ask for more than an even
 * part of the rate get released tokens in proportion to their demand; 0: this one needs none.
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
  // other proxies see only the whole demand of a proxy
  if (others.length > 0 && !isNeedy(own + sumOf(siblings), members)) return 0;
  const neededHere = sumOf(siblings.filter((demand) => isNeedy(demand, members * workers)));
  return own / (own + neededHere + sumOf(others.filter((demand) => isNeedy(demand, members))));
}

/**
 * Returns the level to which each demand may be filled so that the sum is `rate`. The sum of `demands` must exceed
 * `rate`.
 */
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
