const least = 3;
const halfLagMax = 30;
const most = 50;

/**
 * How soon a proxy says that it has switched, in milliseconds. Where news came late, many proxies share the machine or the
 * server, and whoever speaks at once takes the time of those that have yet to switch: so it waits for half as long as the
 * news took, or up to as long as that. Spread by `draw` (0 to 1), so that a fleet does not speak in one moment.
 * `lagMs`: from the last activation's time to its switch here.
 */
export function soonMs(lagMs: number, draw: number): number {
  const from = Math.min(Math.max(lagMs / 2, least), halfLagMax);
  const to = Math.min(2 * from, most);
  return from + draw * (to - from);
}
