/** How often a property is tried: `full` times in `npm test`, a fifth of it in `npm run check`, which answers soon. */
export function runs(full: number): number {
  return process.env.QUICK_TESTS === "1" ? Math.ceil(full / 5) : full;
}
