/**
 * Types of policy values. One statement of a type defines how files write the value, its frozen canonical form (two
 * units with the same meaning have the same bytes), and its encoding. `types.ts`, `list.ts` and `record.ts` make types.
 */
import type { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Shape } from "../snapshot/shapes.js";

export interface Type<Value> {
  /** How files write the value. */
  readonly shape: Shape<Value>;
  /** Returns the frozen canonical form. Fails with a `PolicyFault` where the value is not valid. */
  canonical(value: Value): Value;
  /** Returns what a file contains for the value, which parses to the same value; undefined: nothing. */
  render(value: Value): unknown;
  readonly wire: Wire<Value>;
}

/** The protobuf encoding of a type. */
export interface Wire<Value> {
  /** The protobuf wire type: 0 is varint, 2 is length-delimited. */
  readonly wireType: 0 | 2;
  /** The value of a field that the bytes do not have. */
  absent(): Value;
  /** Writes the field, or nothing if an absent field has the same meaning. */
  write(writer: BinaryWriter, number: number, value: Value): void;
  /** Writes an item of a list, which always has bytes. Left out: `write` always writes bytes. */
  writeItem?(writer: BinaryWriter, number: number, value: Value): void;
  /**
   * Returns the value after reading one occurrence of the field. Fails with a `PolicyFault` on a value that this
   * version does not know.
   */
  read(reader: BinaryReader, before: Value): Value;
}

/** Writes the tag of a field (Protocol Buffers encoding, "Message structure"). */
export function writeTag(writer: BinaryWriter, number: number, wireType: 0 | 2): BinaryWriter {
  return writer.uint32((number << 3) | wireType);
}

/** Returns the type with another notation in files. */
export function writtenAs<Value>(
  type: Type<Value>,
  shape: Shape<Value>,
  render: (value: Value) => unknown = type.render,
): Type<Value> {
  return { ...type, shape, render };
}
