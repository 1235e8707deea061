/**
 * Header fields written as bytes, for fields that outlive their block. A written field is `static` and an index of the
 * static table; or the id of its name, its flags, the name with its length if the id is 0, and the value with its
 * length. A length takes three bytes. `end` follows the last field.
 *
 * Fields of a block with a profile are in two places. The profile's bytes have all of its fields, with `varying`, id
 * and name in place of each varying field. The block's bytes have the varying fields, or `gone` for each missing one,
 * and then the fields that were added to the block.
 */
import type { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { fieldFlag } from "./field-classes.js";
import { nameText } from "./field-names.js";
import type { FieldProfile } from "./field-profile.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "./static-table.js";

/** Marks that stand where the id of a name would be. */
const mark = { static: 255, end: 254, varying: 253, gone: 252 } as const;

/** How many bytes a written field takes at most beside its name and value. */
export const writtenMax = 8;

const nothing = Uint8Array.of(mark.end);

/** Writes a field at `start` and returns where the next one goes. `sizeOfField` bytes are room enough. */
export function writeField(target: Uint8Array, start: number, { rows, bytes }: FieldBlock, field: number): number {
  const row = field * cells;
  const entry = rows[row + cell.entry] as number;
  let at = start;
  if (entry < 0) {
    target[at++] = mark.static;
    target[at++] = -entry;
    return at;
  }
  const id = rows[row] as number;
  target[at++] = id;
  target[at++] = (rows[row + cell.flags] as number) & fieldFlag.neverIndexed;
  if (id === 0)
    at = put(target, at, bytes, rows[row + cell.nameStart] as number, rows[row + cell.nameLength] as number);
  return put(target, at, bytes, rows[row + cell.valueStart] as number, rows[row + cell.valueLength] as number);
}

/** Writes the place of a field whose value differs in each block. */
export function writeVarying(target: Uint8Array, start: number, { rows, bytes }: FieldBlock, field: number): number {
  const row = field * cells;
  const id = rows[row] as number;
  target[start] = mark.varying;
  target[start + 1] = id;
  if (id > 0) return start + 2;
  return put(target, start + 2, bytes, rows[row + cell.nameStart] as number, rows[row + cell.nameLength] as number);
}

/** Writes that this block lacks a varying field. */
export function writeGone(target: Uint8Array, at: number): number {
  target[at] = mark.gone;
  return at + 1;
}

export function writeEnd(target: Uint8Array, at: number): number {
  target[at] = mark.end;
  return at + 1;
}

/** How many bytes `writeField` writes at most. */
export function sizeOfField({ rows }: FieldBlock, field: number): number {
  const row = field * cells;
  const nameBytes = rows[row] === 0 ? 3 + (rows[row + cell.nameLength] as number) : 0;
  return 5 + nameBytes + (rows[row + cell.valueLength] as number);
}

function put(target: Uint8Array, at: number, bytes: Uint8Array, start: number, length: number): number {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  for (let i = 0; i < length; i++) target[at + 3 + i] = bytes[start + i] as number;
  return at + 3 + length;
}

/** Reads written fields one after another. */
export class FieldBytesReader {
  #profile: FieldProfile | null = null;
  #dropped = 0;
  #kept: Uint8Array = nothing;
  #keptAt = 0;
  #field = 0;
  #profileAt = 0;
  /** The current field: its value is in `source`, and so is its name if it has no id. */
  source: Uint8Array = nothing;
  id = 0;
  flags = 0;
  nameStart = 0;
  nameLength = 0;
  valueStart = 0;
  valueLength = 0;

  /** Starts reading. `dropped`: a mask of the profile's fields to skip. */
  begin(kept: Uint8Array, profile: FieldProfile | null, dropped: number): void {
    this.#kept = kept;
    this.#profile = profile;
    this.#dropped = dropped;
    this.#keptAt = this.#field = this.#profileAt = 0;
  }

  /** Reads the next field. Returns false if there are no more. */
  next(): boolean {
    const profile = this.#profile;
    while (profile !== null && profile.kept[this.#profileAt] !== mark.end) {
      const isDropped = (this.#dropped & (1 << this.#field++)) !== 0;
      if (profile.kept[this.#profileAt] !== mark.varying) {
        this.#profileAt = this.#read(profile.kept, this.#profileAt);
        if (!isDropped) return true;
        continue;
      }
      this.#profileAt += 2;
      if (profile.kept[this.#profileAt - 1] === 0) this.#profileAt += 3 + lengthAt(profile.kept, this.#profileAt);
      if (this.#kept[this.#keptAt] === mark.gone) this.#keptAt++;
      else return this.#readKept();
    }
    return this.#kept[this.#keptAt] !== mark.end && this.#readKept();
  }

  #readKept(): true {
    this.#keptAt = this.#read(this.#kept, this.#keptAt);
    return true;
  }

  /** Reads the field at `start` and returns where the next one begins. */
  #read(kept: Uint8Array, start: number): number {
    const id = kept[start] as number;
    if (id === mark.static) {
      const index = kept[start + 1] as number;
      this.source = staticValues;
      this.id = staticName[index] as number;
      this.flags = 0;
      this.valueStart = staticValueStart[index] as number;
      this.valueLength = staticValueLength[index] as number;
      return start + 2;
    }
    this.source = kept;
    this.id = id;
    this.flags = kept[start + 1] as number;
    let at = start + 2;
    if (id === 0) {
      this.nameLength = lengthAt(kept, at);
      this.nameStart = at + 3;
      at = this.nameStart + this.nameLength;
    }
    this.valueLength = lengthAt(kept, at);
    this.valueStart = at + 3;
    return this.valueStart + this.valueLength;
  }

  get name(): string {
    return this.id > 0 ? nameText(this.id) : latin1(this.source, this.nameStart, this.nameLength);
  }

  get value(): string {
    return latin1(this.source, this.valueStart, this.valueLength);
  }
}

function lengthAt(kept: Uint8Array, at: number): number {
  return ((kept[at] as number) << 16) | ((kept[at + 1] as number) << 8) | (kept[at + 2] as number);
}

function latin1({ buffer, byteOffset }: Uint8Array, start: number, length: number): string {
  return Buffer.from(buffer, byteOffset + start, length).toString("latin1");
}
