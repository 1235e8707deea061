/** Copies fields into a block that outlives the one they came in. */
import { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { fieldFlag } from "./field-classes.js";
import type { PreparedField } from "./prepared-field.js";

/** Returns a new block with `first`, the fields of `fields` that are not dropped, and `last`. */
export function copyFields(
  first: readonly PreparedField[] | null,
  fields: FieldBlock | null,
  last: readonly PreparedField[] | null,
): FieldBlock {
  const block = new FieldBlock();
  for (const field of first ?? []) addPrepared(block, field);
  if (fields !== null) {
    for (let i = 0; i < fields.count; i++) if (!fields.isDropped(i)) addCopy(block, fields, i);
  }
  for (const field of last ?? []) addPrepared(block, field);
  return block;
}

function addPrepared(block: FieldBlock, field: PreparedField): void {
  block.add(Buffer.from(field.name).toString("latin1"), Buffer.from(field.value).toString("latin1"));
}

function addCopy(block: FieldBlock, from: FieldBlock, field: number): void {
  const row = field * cells;
  const id = from.nameId(field);
  const nameLength = from.rows[row + cell.nameLength] as number;
  const valueLength = from.valueLength(field);
  const entry = from.rows[row + cell.entry] as number;
  if (entry < 0) {
    block.pushStatic(-entry);
    return;
  }
  block.reserve(nameLength + valueLength);
  const nameStart = block.writeAt;
  if (id === 0) write(block, from.bytes, from.nameStart(field), nameLength);
  const valueStart = block.writeAt;
  write(block, from.bytes, from.valueStart(field), valueLength);
  const flags = from.flags(field) & ~fieldFlag.wireHuffman;
  const hash = from.rows[row + cell.hash] as number;
  block.push(id, nameStart, nameLength, valueStart, valueLength, hash, flags, 0, 0, 0);
}

function write(block: FieldBlock, source: Uint8Array, start: number, length: number): void {
  block.bytes.set(source.subarray(start, start + length), block.writeAt);
  block.writeAt += length;
}
