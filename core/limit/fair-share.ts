/** How one budget is divided: everyone gets what he needs, and where that is too much, nobody more than anybody. */

/** An unsaturated peer may go so far above what it last asked for: demand is not constant between two reports. */
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
