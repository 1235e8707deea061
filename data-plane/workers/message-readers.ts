/** Readers for the content of workers' messages. Each fails with `invalid_record` if the content is not acceptable. */
import { AshlarError } from "../../core/errors.js";
import { isLabel, isWorkload } from "../../core/identity.js";

/** The most decisions and counts in one message. */
export const recordsMax = 2000;
const textMax = 4096;

/** Returns the message's fields. Fails with `invalid_record` if the message is not an object. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw invalid("its form");
  return value as Readonly<Record<string, unknown>>;
}

/** Returns a count. Fails with `invalid_record` if the value is not a count. */
export function integer(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw invalid("a number");
  return value;
}

export function amount(value: unknown): number {
  if (typeof value !== "number" || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw invalid("an amount");
  return value;
}

export function digest(value: unknown): string {
  if (typeof value !== "string" || !/^[\w-]{22}$/.test(value)) throw invalid("a digest");
  return value;
}

export function list(value: unknown, max = recordsMax): readonly unknown[] {
  if (!Array.isArray(value) || value.length > max) throw invalid("a list");
  return value;
}

export function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalid("a list of bytes");
  return value;
}

export function text(value: unknown): string {
  if (typeof value !== "string" || value.length > textMax) throw invalid("a text");
  return value;
}

export function label(value: unknown): string {
  const name = text(value);
  if (!isLabel(name)) throw invalid("the name of a service");
  return name;
}

export function workload(value: unknown): string {
  const name = text(value);
  if (!isWorkload(name)) throw invalid("the name of a service or gateway");
  return name;
}

/** Returns the error that names the unacceptable part of a message. */
export function invalid(what: string): AshlarError {
  return new AshlarError("invalid_record", `a message of a worker: ${what} is not acceptable`);
}
