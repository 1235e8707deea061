/** Reads answers of the control plane: proto3 JSON, which leaves out every field that has its default value. */

/** Makes a value of one type from JSON. A missing value, or one of another type, becomes the type's default. */
export type Reader<T> = (json: unknown) => T;

/** The type that a reader makes. */
export type Read<R> = R extends Reader<infer T> ? T : never;

export const text: Reader<string> = (json) => (typeof json === "string" ? json : "");

/** Reads a number. proto3 JSON writes 64-bit numbers as strings. */
export const number: Reader<number> = (json) => {
  const value = typeof json === "string" && json !== "" ? Number(json) : json;
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
};

/** Returns a value of any shape unchanged. */
export const raw: Reader<unknown> = (json) => json;

export const truth: Reader<boolean> = (json) => json === true;

/** Reads a field that may be absent, where absence means something other than the default. */
export function maybe<T>(reader: Reader<T>): Reader<T | undefined> {
  return (json) => (json === undefined || json === null ? undefined : reader(json));
}

export function list<T>(reader: Reader<T>): Reader<readonly T[]> {
  return (json) => (Array.isArray(json) ? json.map(reader) : []);
}

type Shape = Readonly<Record<string, Reader<unknown>>>;
type Message<S extends Shape> = { readonly [Name in keyof S]: Read<S[Name]> };

/** Reads a message with the fields that the console shows. Field names are those of the contract in camel case. */
export function message<S extends Shape>(shape: S): Reader<Message<S>> & { readonly fields: readonly string[] } {
  const entries = Object.entries(shape);
  const read: Reader<Message<S>> = (json) => {
    const from = typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
    return Object.fromEntries(entries.map(([name, reader]) => [name, reader(from[name])])) as Message<S>;
  };
  return Object.assign(read, { fields: Object.keys(shape) });
}
