import { AshlarError } from "../../core/errors.js";

/** Returns a limit of a request, or the default `otherwise` for 0. Fails with `invalid_argument` above `max`. */
export function bounded(field: string, value: number, otherwise: number, max: number): number {
  if (value === 0) return otherwise;
  if (value <= max) return value;
  throw new AshlarError("invalid_argument", `${field}: at most ${max}, got ${value}`);
}
