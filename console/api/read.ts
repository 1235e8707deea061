/** Reads answers of the control plane: proto3 JSON, which leaves out every field that has its default value. */

/** Makes a value of one type from JSON; what is missing or of another type becomes the default. */
export type Reader<T> = (json: unknown) => T;

/** The type that a reader makes. */
export type Read<R> = R extends Reader<infer T> ? T : never;

export const text: Reader<string> = (json) => (typeof json === "string" ? json : "");

/** A number; proto3 JSON writes 64-bit ones as texts. */
export const number: Reader<number> = (json) => {
  const value = typeof json === "string" && json !== "" ? Number(json) : json;
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
};

/** A value of any shape, as it came. */
export const raw: Reader<unknown> = (json) => json;

export const truth: Reader<boolean> = (json) => json === true;

/** A field that may be absent, where absent means something else than the default. */
export function maybe<T>(reader: Reader<T>): Reader<T | undefined> {
  return (json) => (json === undefined || json === null ? undefined : reader(json));
}

export function list<T>(reader: Reader<T>): Reader<readonly T[]> {
  return (json) => (Array.isArray(json) ? json.map(reader) : []);
}

type Shape = Readonly<Record<string, Reader<unknown>>>;
type Message<S extends Shape> = { readonly [Name in keyof S]: Read<S[Name]> };

/** A message with the fields that the console reads. Their names are those of the contract, in camel case. */
export function message<S extends Shape>(shape: S): Reader<Message<S>> & { readonly fields: readonly string[] } {
  const entries = Object.entries(shape);
  const read: Reader<Message<S>> = (json) => {
    const from = typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
    return Object.fromEntries(entries.map(([name, reader]) => [name, reader(from[name])])) as Message<S>;
  };
  return Object.assign(read, { fields: Object.keys(shape) });
}
