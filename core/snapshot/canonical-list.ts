/** Sorted lists in canonical units; every refusal is an `invalid_policy` that names the unit. */
import { AshlarError } from "../errors.js";

/** Orders names by their code units, the same on every machine. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function refused(unit: string, why: string): AshlarError {
  return new AshlarError("invalid_policy", `unit ${JSON.stringify(unit.slice(0, 64))}: ${why}`);
}

/** Refuses a text that is there twice in a sorted list. */
export function refuseRepeated(unit: string, what: string, sorted: readonly string[]): void {
  for (let index = 1; index < sorted.length; index++) {
    const name = sorted[index] ?? "";
    if (name === sorted[index - 1]) throw refused(unit, `${what}: ${JSON.stringify(name.slice(0, 64))} is there twice`);
  }
}

/** The texts sorted and frozen, each of them valid and there once. */
export function textList<Text extends string>(
  unit: string,
  what: string,
  texts: readonly Text[],
  valid: (text: string) => boolean,
): readonly Text[] {
  for (const text of texts) {
    if (!valid(text)) throw refused(unit, `${what}: ${JSON.stringify(text.slice(0, 64))} is not valid`);
  }
  const sorted = [...texts].sort(compareNames);
  refuseRepeated(unit, what, sorted);
  return Object.freeze(sorted);
}
