const least = 3;
const halfLagMax = 30;
const most = 50;

/**
 * Returns how many milliseconds a proxy waits before it reports a switch. Where news came late, many proxies share a
 * machine or a server, and an early report takes time from those that have yet to switch. So a proxy waits between half
 * as long and as long as the news took. `draw` (0 to 1) spreads a fleet's reports. `lagMs`: the time from the last
 * activation to the switch here.
 */
export function soonMs(lagMs: number, draw: number): number {
  const from = Math.min(Math.max(lagMs / 2, least), halfLagMax);
  const to = Math.min(2 * from, most);
  return from + draw * (to - from);
}
