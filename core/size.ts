/** The one grammar of sizes in bytes. */

const unitsBytes = { B: 1, KiB: 1024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;
export type SizeUnit = keyof typeof unitsBytes;

/**
 * Parses "64KiB", "64MiB" or "2GiB" to bytes; a plain number counts in the unit `plain`. Returns undefined if the text
 * is no size.
 */
export function parseSizeBytes(text: string, plain: SizeUnit): number | undefined {
  const match = /^([0-9]{1,15})(B|KiB|MiB|GiB)?$/.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * unitsBytes[(match[2] ?? plain) as SizeUnit];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Returns the words for "what was expected" in a message. The bounds and a plain number are in `unit`. */
export function expectedSize(min: number, max: number, unit: SizeUnit): string {
  return `a size such as 64${unit}, from ${min}${unit} to ${max}${unit} (a plain number is ${unit})`;
}

/** Returns the bytes of `count` units. */
export function sizeBytes(count: number, unit: SizeUnit): number {
  return count * unitsBytes[unit];
}
