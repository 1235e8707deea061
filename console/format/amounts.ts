/** Renders amounts for people. */

const grouped = new Intl.NumberFormat("en");

export const renderCount = (count: number): string => grouped.format(count);

/** "1 proxy", "3 proxies". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${renderCount(count)} ${count === 1 ? one : many}`;
}

/** Renders calls per second: "0/s", "0.4/s", "12/s", "1.2k/s". */
export function renderRate(perSecond: number): string {
  if (perSecond <= 0) return "0/s";
  if (perSecond < 9.95) return `${trim(perSecond.toFixed(1))}/s`;
  if (perSecond < 999.5) return `${Math.round(perSecond)}/s`;
  return `${trim((perSecond / 1000).toFixed(1))}k/s`;
}

/** Renders a share between 0 and 1: "100 %", "99.95 %", "0 %". Only exactly all or nothing becomes 100 or 0. */
export function renderShare(share: number): string {
  if (share >= 1) return "100 %";
  if (share <= 0) return "0 %";
  const percent = share * 100;
  if (percent > 99.99) return "99.99 %";
  if (percent < 0.01) return "0.01 %";
  return `${trim(percent.toFixed(percent > 99 || percent < 1 ? 2 : 1))} %`;
}

/** Renders milliseconds: "0.4 ms", "12 ms", "1.2 s", "3 min", "5 h", "2 d". */
export function renderMs(ms: number): string {
  if (ms < 0) return `-${renderMs(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 9.95) return `${trim(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${trim((ms / 1000).toFixed(1))} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

export function renderBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${trim((bytes / 1024).toFixed(1))} KiB`;
  return `${trim((bytes / 1024 / 1024).toFixed(1))} MiB`;
}

function trim(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
