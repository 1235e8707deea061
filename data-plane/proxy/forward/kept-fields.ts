import { FieldBlock } from "../../http2/field-block.js";
import { cell, cells } from "../../http2/field-cells.js";
import { fieldFlag } from "../../http2/field-classes.js";
import { fieldName, findName, nameText } from "../../http2/field-names.js";
import { type FieldProfile, keptMark } from "../../http2/field-profile.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "../../http2/static-table.js";
import { giveBlock, takeBlock } from "./small-blocks.js";

const nothing = Buffer.of(keptMark.end);
const restored = new FieldBlock();
/** Ids of the names that were asked for; policy names them, so they are few. */
const ids = new Map<string, number>();
const namesMax = 1000;

const noPlaces = new Uint8Array(0);

/**
 * The fields of a request, for conditions and for sending it again: those they came in are used again for the next one.
 * What the profile of its block says is not copied.
 */
export class KeptFields {
  /** Of a call whose fields were not kept. */
  static readonly none = new KeptFields(nothing, null, 0);
  readonly #block: Buffer;
  readonly #profile: FieldProfile | null;
  /** Of the profile's fields. */
  readonly #dropped: number;

  private constructor(block: Buffer, profile: FieldProfile | null, dropped: number) {
    this.#block = block;
    this.#profile = profile;
    this.#dropped = dropped;
  }

  /** Those that are not dropped. */
  static of(fields: FieldBlock): KeptFields {
    return new KeptFields(keep(fields), fields.profile, fields.dropped);
  }

  /** What it takes in memory for itself alone. */
  get bytes(): number {
    return this.#block === nothing ? 0 : this.#block.length;
  }

  /** All values of one of the fields, joined with ","; undefined: there is none. */
  header(name: string): string | undefined {
    const wanted = idOf(name);
    let joined: string | undefined;
    reader.begin(this.#block, this.#profile, this.#dropped);
    while (reader.next()) {
      if (reader.id !== wanted || (wanted === 0 && (reader.nameLength !== name.length || reader.name !== name)))
        continue;
      joined = joined === undefined ? reader.value : `${joined},${reader.value}`;
    }
    return joined;
  }

  /** The fields again, without `grpc-timeout`: less time is left. The block is the same one each time. */
  restore(): FieldBlock {
    restored.clear();
    reader.begin(this.#block, this.#profile, this.#dropped);
    while (reader.next())
      if (reader.id !== fieldName.grpcTimeout) restored.add(reader.name, reader.value, reader.flags);
    return restored;
  }

  /** Nobody may ask for them any more. */
  release(): void {
    giveBlock(this.#block);
  }
}

/**
 * For each field: id of the name, flags, [length and bytes of a name without id,] length and bytes of the value. Of a
 * block with a profile only those that vary, in their order, and those that were added; in a block of `takeBlock`.
 */
function keep(fields: FieldBlock): Buffer {
  const { profile, count } = fields;
  const varying = profile === null ? noPlaces : profile.varying;
  const from = profile === null ? 0 : profile.count;
  let size = 1;
  for (let i = 0; i < varying.length; i++) size += sizeOf(fields, varying[i] as number);
  for (let field = from; field < count; field++) size += sizeOf(fields, field);
  const kept = takeBlock(size);
  let at = 0;
  for (let i = 0; i < varying.length; i++) {
    const field = varying[i] as number;
    if (fields.isDropped(field)) kept[at++] = keptMark.gone;
    else at = keepField(kept, at, fields, field);
  }
  for (let field = from; field < count; field++) if (!fields.isDropped(field)) at = keepField(kept, at, fields, field);
  kept[at] = keptMark.end;
  return kept;
}

function keepField(kept: Buffer, start: number, { rows, bytes }: FieldBlock, field: number): number {
  const row = field * cells;
  const entry = rows[row + cell.entry] as number;
  let at = start;
  if (entry < 0) {
    kept[at++] = keptMark.static;
    kept[at++] = -entry;
    return at;
  }
  const id = rows[row] as number;
  kept[at++] = id;
  kept[at++] = (rows[row + cell.flags] as number) & fieldFlag.neverIndexed;
  if (id === 0) at = put(kept, at, bytes, rows[row + 1] as number, rows[row + 2] as number);
  return put(kept, at, bytes, rows[row + 3] as number, rows[row + 4] as number);
}

function sizeOf({ rows }: FieldBlock, field: number): number {
  const row = field * cells;
  return (rows[row] === 0 ? 8 + (rows[row + 2] as number) : 5) + (rows[row + 4] as number);
}

function put(kept: Buffer, at: number, bytes: Uint8Array, start: number, length: number): number {
  kept[at] = length >>> 16;
  kept[at + 1] = length >>> 8;
  kept[at + 2] = length;
  for (let i = 0; i < length; i++) kept[at + 3 + i] = bytes[start + i] as number;
  return at + 3 + length;
}

/** Walks over the fields that a request was kept with; one for all requests. */
class KeptReader {
  #profile: FieldProfile | null = null;
  #dropped = 0;
  #kept: Uint8Array = nothing;
  #keptAt = 0;
  #field = 0;
  #profileAt = 0;
  /** The field: its values are in `source`. `name` is where a name without id is. */
  source: Uint8Array = nothing;
  id = 0;
  flags = 0;
  nameStart = 0;
  nameLength = 0;
  valueStart = 0;
  valueLength = 0;

  /** `dropped`: of the profile's fields. */
  begin(kept: Uint8Array, profile: FieldProfile | null, dropped: number): void {
    this.#kept = kept;
    this.#profile = profile;
    this.#dropped = dropped;
    this.#keptAt = this.#field = this.#profileAt = 0;
  }

  /** False: there are no more. */
  next(): boolean {
    const profile = this.#profile;
    while (profile !== null && profile.kept[this.#profileAt] !== keptMark.end) {
      const isDropped = (this.#dropped & (1 << this.#field++)) !== 0;
      if (profile.kept[this.#profileAt] !== keptMark.varying) {
        this.#profileAt = this.#read(profile.kept, this.#profileAt);
        if (!isDropped) return true;
        continue;
      }
      this.#profileAt += 2;
      if (profile.kept[this.#profileAt - 1] === 0) this.#profileAt += 3 + lengthAt(profile.kept, this.#profileAt);
      if (this.#kept[this.#keptAt] === keptMark.gone) this.#keptAt++;
      else return this.#readKept();
    }
    return this.#kept[this.#keptAt] !== keptMark.end && this.#readKept();
  }

  #readKept(): true {
    this.#keptAt = this.#read(this.#kept, this.#keptAt);
    return true;
  }

  /** Reads the field at `start` and gives where the next one is. */
  #read(kept: Uint8Array, start: number): number {
    const mark = kept[start] as number;
    if (mark === keptMark.static) {
      const index = kept[start + 1] as number;
      this.source = staticValues;
      this.id = staticName[index] as number;
      this.flags = 0;
      this.valueStart = staticValueStart[index] as number;
      this.valueLength = staticValueLength[index] as number;
      return start + 2;
    }
    this.source = kept;
    this.id = mark;
    this.flags = kept[start + 1] as number;
    let at = start + 2;
    if (mark === 0) {
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

const reader = new KeptReader();

/** 0: a name without an id, which stands in the kept bytes itself. */
function idOf(name: string): number {
  const known = ids.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(name, "latin1");
  const id = findName(bytes, 0, bytes.length);
  if (ids.size >= namesMax) ids.clear();
  ids.set(name, id);
  return id;
}

function lengthAt(kept: Uint8Array, at: number): number {
  return ((kept[at] as number) << 16) | ((kept[at + 1] as number) << 8) | (kept[at + 2] as number);
}

function latin1({ buffer, byteOffset }: Uint8Array, start: number, length: number): string {
  return Buffer.from(buffer, byteOffset + start, length).toString("latin1");
}
