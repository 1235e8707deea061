/** The one grammar of sizes. */

const unitsBytes = { B: 1, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;
export type SizeUnit = keyof typeof unitsBytes;

/** Bytes of "64KiB", "64MiB" or "2GiB"; a plain number is in `plain`. undefined if it is no size. */
export function parseSizeBytes(text: string, plain: SizeUnit): number | undefined {
  const match = /^([0-9]{1,15})(B|KiB|MiB|GiB)?$/.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * unitsBytes[(match[2] ?? plain) as SizeUnit];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** What a message says was expected; bounds in `unit`, which a plain number is in. */
export function expectedSize(min: number, max: number, unit: SizeUnit): string {
  return `a size such as 64${unit}, from ${min}${unit} to ${max}${unit} (a plain number is ${unit})`;
}

/** Bytes of `count` units. */
export function sizeBytes(count: number, unit: SizeUnit): number {
  return count * unitsBytes[unit];
}
