/**
 * Types of policy values. One statement of a type says how files write it, which frozen form counts (two units that mean
 * the same have the same bytes), and what its bytes are. `types.ts`, `list.ts` and `record.ts` make them.
 */
import type { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Shape } from "../snapshot/shapes.js";

export interface Type<Value> {
  /** How files write it. */
  readonly shape: Shape<Value>;
  /** Returns the frozen canonical form. Fails with a `PolicyFault` where the value is not valid. */
  canonical(value: Value): Value;
  /** What a file says; undefined: nothing. Parsing that gives the value again. */
  render(value: Value): unknown;
  readonly wire: Wire<Value>;
}

/** A protobuf field of a type. */
export interface Wire<Value> {
  /** 0: varint. 2: length-delimited. */
  readonly wireType: 0 | 2;
  /** The value of a field that the bytes do not have. */
  absent(): Value;
  /** Writes the field, or nothing where absent bytes mean the same. */
  write(writer: BinaryWriter, number: number, value: Value): void;
  /** Writes an item of a list, which has bytes whatever it is. Left out: `write` leaves nothing out. */
  writeItem?(writer: BinaryWriter, number: number, value: Value): void;
  /** Returns the value after one more occurrence. Fails with a `PolicyFault` on what this version does not know. */
  read(reader: BinaryReader, before: Value): Value;
}

/** Writes the tag of a field (Protocol Buffers encoding, "Message structure"). */
export function writeTag(writer: BinaryWriter, number: number, wireType: 0 | 2): BinaryWriter {
  return writer.uint32((number << 3) | wireType);
}

/** The type with another way of being written in files. */
export function writtenAs<Value>(
  type: Type<Value>,
  shape: Shape<Value>,
  render: (value: Value) => unknown = type.render,
): Type<Value> {
  return { ...type, shape, render };
}
