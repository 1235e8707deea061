/** Returns the smallest value that at least this share of all values does not exceed. NaN if there are no values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);
export const median = (values: readonly number[]): number => quantile(values, 0.5);
export const highest = (values: readonly number[]): number => quantile(values, 1);
export const render = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

/** Returns the aim and whether it was met. */
export function verdict(value: number, aim: number, unit: string): string {
  return `${aim} ${unit}: ${value <= aim ? "met" : "missed"}`;
}
