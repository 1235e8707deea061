/** Flags of a bench: `--name value`; a name without value is "true". */
export function readFlags(args: readonly string[]): Map<string, string[]> {
  const flags = new Map<string, string[]>();
  let values: string[] = [];
  for (const arg of args) {
    if (arg.startsWith("--")) {
      values = [];
      flags.set(arg.slice(2), values);
    } else values.push(arg);
  }
  return flags;
}

export function numberFlag(flags: ReadonlyMap<string, readonly string[]>, name: string, fallback: number): number {
  const text = flags.get(name)?.[0];
  const value = text === undefined ? fallback : Number(text);
  if (Number.isNaN(value)) throw new Error(`--${name} must be a number, not ${JSON.stringify(text)}`);
  return value;
}
