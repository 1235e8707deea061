/** The types of records: values with named fields, each of which is stated once. */
import type { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Node } from "yaml";
import type { Reading } from "../snapshot/reading.js";
import { record as recordShape, type Shape, type Field as ShapeField } from "../snapshot/shapes.js";
import { PolicyFault, within } from "./fault.js";
import { type Type, type Wire, writeTag } from "./type.js";
import { orNone } from "./types.js";

/** A field of a record: its number in the bytes, its type, and what a file may leave out. */
export interface Field<Value> {
  /**
   * The protobuf field number; undefined: the type is a record, and its fields are fields of this record in the bytes.
   */
  readonly number: number | undefined;
  readonly type: Type<Value>;
  readonly required: boolean;
  /** The value of a field that a file leaves out. */
  readonly missing: Value;
  /** The field's name in files, if it differs from the key. */
  readonly name: string | undefined;
  /** One sentence for the JSON Schema and the reference page. */
  readonly about: string;
}

/** A field whose key is absent if it has no value. */
export interface OptionalField<Value> extends Field<Value | undefined> {
  readonly mayBeAbsent: true;
}

interface FieldOptions {
  readonly name?: string;
}

/** A field that files must state. If its value is wrong, `missing` takes its place, so that the rest can be checked. */
export function required<Value>(
  number: number | undefined,
  type: Type<Value>,
  missing: NoInfer<Value>,
  about: string,
  { name }: FieldOptions = {},
): Field<Value> {
  return { number, type, required: true, missing, name, about };
}

/** A field with a default. */
export function optional<Value>(
  number: number | undefined,
  type: Type<Value>,
  missing: NoInfer<Value>,
  about: string,
  { name }: FieldOptions = {},
): Field<Value> {
  return { number, type, required: false, missing, name, about };
}

/** A field that may be left out. Its key is then absent. */
export function maybe<Value>(
  number: number | undefined,
  type: Type<Value>,
  about: string,
  { name }: FieldOptions = {},
): OptionalField<Exclude<Value, undefined>> {
  const none = (number === undefined ? type : orNone(type)) as Type<Exclude<Value, undefined> | undefined>;
  return { number, type: none, required: false, missing: undefined, name, about, mayBeAbsent: true };
}

// biome-ignore lint/suspicious/noExplicitAny: fields of all types are in one table
export type Fields = Readonly<Record<string, Field<any>>>;
type ValueOf<F> = F extends Field<infer Value> ? Value : never;
type AbsentKeys<F> = { [Key in keyof F]: F[Key] extends { readonly mayBeAbsent: true } ? Key : never }[keyof F];
type Flat<Object> = { [Key in keyof Object]: Object[Key] };

/** The value of a record with these fields. */
export type RecordOf<F> = Flat<
  { readonly [Key in Exclude<keyof F, AbsentKeys<F>>]: ValueOf<F[Key]> } & {
    readonly [Key in AbsentKeys<F>]?: ValueOf<F[Key]>;
  }
>;

interface RecordOptions<Value> {
  /** Corrects or reports what depends on several fields of a file; `field` is the place of the record. */
  refine?(found: Value, field: string, reading: Reading): Value;
  /**
   * Fields of files that are planned, with the rule that holds until then. They are refused, so that nobody believes
   * that they are in force.
   */
  readonly later?: Readonly<Record<string, string>>;
  /** Returns what is wrong with the record as a whole, or undefined. */
  why?(value: Value): string | undefined;
}

export interface RecordType<Value> extends Type<Value> {
  readonly fields: Fields;
  readonly slots: readonly Slot[];
}

/** A record that is being built. */
export type Draft = Record<string, unknown>;

/** One protobuf field of a record. A record that is written into another one has its fields among the other's. */
export interface Slot {
  readonly number: number;
  readonly label: string;
  readonly wire: Wire<unknown>;
  get(value: Draft | undefined): unknown;
  set(draft: Draft, value: unknown): void;
}

/** The type of a record; its bytes are a message. `what` completes "expected …". */
export function record<const F extends Fields>(
  what: string,
  fields: F,
  options: RecordOptions<RecordOf<F>> = {},
): RecordType<RecordOf<F>> {
  type Value = RecordOf<F>;
  const entries = Object.entries(fields);
  const slots = entries.flatMap(([key, field]) => slotsOf(key, field)).sort((a, b) => a.number - b.number);
  const absent = (): Draft => {
    const draft: Draft = {};
    for (const slot of slots) slot.set(draft, slot.wire.absent());
    return draft;
  };
  return {
    fields,
    slots,
    shape: shapeOf(what, fields, options),
    canonical(value) {
      const made: Draft = {};
      for (const [key, field] of entries) {
        const given = (value as Draft)[key];
        if (given === undefined && "mayBeAbsent" in field) continue;
        const one = within(field.name ?? key, () => field.type.canonical(given));
        if (one !== undefined) made[key] = one;
      }
      const why = options.why?.(made as Value);
      if (why !== undefined) throw new PolicyFault(why);
      return Object.freeze(made) as Value;
    },
    render: (value) => renderFields(entries, value as Draft),
    wire: {
      wireType: 2,
      absent: () => finish(entries, absent()) as Value,
      write(writer, number, value) {
        writeTag(writer, number, 2).fork();
        writeSlots(writer, slots, value as Draft);
        writer.join();
      },
      read(reader) {
        const length = reader.uint32();
        return finish(entries, readSlots(reader, reader.pos + length, slots, absent())) as Value;
      },
    },
  };
}

/** Writes the fields of a message without a tag and length around them. */
export function writeSlots(writer: BinaryWriter, slots: readonly Slot[], value: Draft): void {
  for (const slot of slots) slot.wire.write(writer, slot.number, slot.get(value));
}

/**
 * Reads fields up to `end` into `draft`. Fails with a `PolicyFault` on a field that this version does not know (I6).
 */
export function readSlots(reader: BinaryReader, end: number, slots: readonly Slot[], draft: Draft): Draft {
  while (reader.pos < end) {
    const tag = reader.uint32();
    const slot = slots.find(({ number, wire }) => ((number << 3) | wire.wireType) === tag);
    if (slot === undefined)
      throw new PolicyFault(`unknown field ${tag >>> 3}; it was written by a newer version of Ashlar`);
    const before = slot.get(draft);
    slot.set(
      draft,
      within(slot.label, () => slot.wire.read(reader, before)),
    );
  }
  if (reader.pos > end) throw new PolicyFault("it is longer than it says");
  return draft;
}

// biome-ignore lint/suspicious/noExplicitAny: as in Fields
function slotsOf(key: string, field: Field<any>): Slot[] {
  if (field.number !== undefined) {
    return [
      {
        number: field.number,
        label: field.name ?? key,
        wire: field.type.wire,
        get: (value) => value?.[key],
        set(draft, value) {
          draft[key] = value;
        },
      },
    ];
  }
  return (field.type as RecordType<Draft>).slots.map((slot) => ({
    ...slot,
    get: (value) => slot.get(value?.[key] as Draft | undefined) ?? slot.wire.absent(),
    set(draft, value) {
      draft[key] ??= {};
      slot.set(draft[key] as Draft, value);
    },
  }));
}

/** Deletes the keys without a value, and the inlined records of which no field is set. */
// biome-ignore lint/suspicious/noExplicitAny: as in Fields
function finish(entries: readonly (readonly [string, Field<any>])[], draft: Draft): Draft {
  for (const [key, { number, missing, type }] of entries) {
    if (number === undefined && missing === undefined && isEmpty(draft[key] as Draft, type as RecordType<Draft>))
      draft[key] = undefined;
    if (draft[key] === undefined) delete draft[key];
  }
  return draft;
}

function isEmpty(draft: Draft, { slots }: RecordType<Draft>): boolean {
  return slots.every((slot) => JSON.stringify(slot.get(draft)) === JSON.stringify(slot.wire.absent()));
}

// biome-ignore lint/suspicious/noExplicitAny: as in Fields
function renderFields(entries: readonly (readonly [string, Field<any>])[], value: Draft): Draft {
  const rendered: Draft = {};
  for (const [key, field] of entries) {
    const one = value[key];
    if (one === undefined || (!field.required && one === field.missing)) continue;
    const shown = field.type.render(one);
    if (shown !== undefined) rendered[field.name ?? key] = shown;
  }
  return rendered;
}

function shapeOf<F extends Fields>(
  what: string,
  fields: F,
  { refine, later }: RecordOptions<RecordOf<F>>,
): Shape<RecordOf<F>> {
  const entries = Object.entries(fields);
  const written = recordShape<Draft>(
    what,
    Object.fromEntries(
      entries.map(([key, { type, required, missing, name, about }]): [string, ShapeField<unknown>] => [
        name ?? key,
        { shape: type.shape, required, missing, about },
      ]),
    ),
    later,
  );
  return {
    ...written,
    read(node: Node | null, field, reading) {
      const found = written.read(node, field, reading);
      if (found === undefined) return undefined;
      const value: Draft = {};
      for (const [key, { name }] of entries) {
        const one = found[name ?? key];
        if (one !== undefined) value[key] = one;
      }
      return refine === undefined ? (value as RecordOf<F>) : refine(value as RecordOf<F>, field, reading);
    },
  };
}
