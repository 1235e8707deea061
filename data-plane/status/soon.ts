const least = 3;
const most = 200;
/** Up to this lag in milliseconds, few proxies share what carries the news. */
const aloneMs = 20;
/** The lag that counts at most for a report about anything but a switch. */
const otherLagMax = 30;

/**
 * Returns how many whole milliseconds a proxy waits before it reports a change. Where news came late, many proxies share a
 * machine or a server, and an early report takes time from those that have yet to switch: it is signed, carried,
 * verified, and goes to all who call the proxy. So after a switch a proxy waits between half as long and as long as the
 * news took, and longer in proportion where it took more than `aloneMs`, since the last one then switches much later
 * than the first. `draw` (0 to 1) spreads a fleet's reports. `lagMs`: the time from the last activation to the switch
 * here.
 */
export function soonMs(lagMs: number, isSwitch: boolean, draw: number): number {
  const lag = isSwitch ? lagMs : Math.min(lagMs, otherLagMax);
  const from = Math.min(Math.max((lag / 2) * Math.max(1, lag / aloneMs), least), most / 2);
  return Math.round(from * (1 + draw));
}
