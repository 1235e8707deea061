/** Comparing parts of policy by value. */

/** The same whatever the order in which fields were written, and whether an absent one was written as undefined. */
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
