/** Compares parts of policy by value. */

/**
 * Returns a text that is equal for equal values, whatever the order of fields and whether an absent field is undefined.
 */
export function keyOf(value: unknown): string {
  return (
    JSON.stringify(value, (_name, field: unknown) => {
      if (typeof field !== "object" || field === null || Array.isArray(field)) return field;
      return Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : 1)));
    }) ?? ""
  );
}

export function isSame(a: unknown, b: unknown): boolean {
  return keyOf(a) === keyOf(b);
}
