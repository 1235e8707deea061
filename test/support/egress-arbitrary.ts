/** Random egresses with every field that an egress can have, in canonical form. */
import fc from "fast-check";
import type { Egress } from "../../core/kinds/egress/egress.js";

const some = (items: readonly string[], minLength: number) =>
  fc.uniqueArray(fc.constantFrom(...items), { minLength, maxLength: 3 }).map((all) => [...all].sort());

export const egress = (name: string): fc.Arbitrary<Egress> =>
  fc.record(
    {
      kind: fc.constant("Egress" as const),
      name: fc.constant(name),
      methods: some(["a.A/One", "a.A/Two", "a.B/One"], 1),
      idempotent: some(["a.A/One", "a.B/*"], 1),
      noSideEffects: some(["a.A/Two", "*"], 1),
    },
    { requiredKeys: ["kind", "name", "methods"] },
  );
