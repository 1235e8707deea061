/**
 * The step through what is tried one after the other, as the bytes of a file: `full` in `npm test`, five times as long in
 * `npm run check`.
 */
export function stride(full: number): number {
  return process.env.QUICK_TESTS === "1" ? full * 5 : full;
}

/** How often a property is tried: `full` times in `npm test`, a tenth of it in `npm run check`, which answers soon. */
export function runs(full: number): number {
  return process.env.QUICK_TESTS === "1" ? Math.ceil(full / 10) : full;
}
