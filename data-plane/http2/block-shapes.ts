import type { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { fieldFlag } from "./field-classes.js";
import type { FieldProfile } from "./field-profile.js";
import { FieldProfiles, profileFieldsMax, varyingFields } from "./field-profiles.js";
import type { HpackTable } from "./hpack-table.js";

const shapesMax = 16;
const profilesMax = 16;
/** After this many blocks in a row that fit no shape, only one block in as many is learnt. */
const unmatchedMax = 32;
/** How many fields an owner may add to a block with a shape. */
const addedMax = 8;
const none = new Int32Array(0);

/** How a block with a certain profile is written while the dynamic table holds certain entries. */
export class BlockShape {
  readonly profile: FieldProfile;
  readonly count: number;
  /**
   * For each field: its entry number in the dynamic table, or minus its index in the static table, or 0 if its value
   * varies.
   */
  readonly keys: Int32Array;
  /** The rows of a block of this shape, with room for added fields. Of a field that varies, only the name is valid. */
  readonly rows: Int32Array;
  /** List size, in bytes, of the fields that do not vary. */
  readonly steadyBytes: number;
  /** The shape of the block that followed the last block of this shape. */
  next: BlockShape | null = null;

  constructor(profile: FieldProfile, fields: FieldBlock, varying: number, table: HpackTable) {
    const { count } = fields;
    this.profile = profile;
    this.count = count;
    this.rows = new Int32Array((count + addedMax) * cells);
    this.rows.set(fields.rows.subarray(0, count * cells));
    this.keys = new Int32Array(count);
    let bytes = 0;
    for (let field = 0, row = 0; field < count; field++, row += cells) {
      if ((varying & (1 << field)) !== 0) continue;
      bytes += this.sizeOf(field);
      const entry = this.rows[row + cell.entry] as number;
      this.keys[field] = entry;
      if (entry > 0) this.#useEntry(row, entry, table);
    }
    this.steadyBytes = bytes;
  }

  /** Returns the list size of a field in bytes. */
  sizeOf(field: number): number {
    const row = field * cells;
    return (this.rows[row + cell.nameLength] as number) + (this.rows[row + cell.valueLength] as number) + 32;
  }

  /** Points the row at the table entry that this block inserted: the next block finds the field there. */
  #useEntry(row: number, entry: number, table: HpackTable): void {
    const { rows } = this;
    rows[row + cell.nameStart] = table.nameStart(entry);
    rows[row + cell.valueStart] = table.valueStart(entry);
    rows[row + cell.flags] = (rows[row + cell.flags] as number) & ~fieldFlag.wireHuffman;
    rows[row + cell.wireStart] = 0;
    rows[row + cell.wireLength] = 0;
  }

  /** Whether this shape begins with the same `count` fields as `other`. */
  beginsAs(other: BlockShape, count: number): boolean {
    if (this.count < count) return false;
    for (let field = 0; field < count; field++) {
      if (this.keys[field] !== other.keys[field]) return false;
      if (this.keys[field] === 0 && !this.#isNamedAs(other, field)) return false;
    }
    return true;
  }

  #isNamedAs(other: BlockShape, field: number): boolean {
    const id = this.rows[field * cells] as number;
    if (id !== other.rows[field * cells]) return false;
    if (id > 0) return true;
    const [own, others] = [this.profile.names[field], other.profile.names[field]];
    return own !== undefined && others !== undefined && Buffer.compare(own, others) === 0;
  }

  /** Whether a block's field has the same name as the varying field of this shape at the same place. */
  isNamed(fields: FieldBlock, field: number): boolean {
    const row = field * cells;
    const id = this.rows[row] as number;
    if (id !== fields.rows[row]) return false;
    if (id > 0) return true;
    const name = this.profile.names[field];
    if (name === undefined || name.length !== fields.rows[row + cell.nameLength]) return false;
    const start = fields.nameStart(field);
    for (let i = 0; i < name.length; i++) if (fields.bytes[start + i] !== name[i]) return false;
    return true;
  }
}

/** The shapes of the blocks that a connection received lately. */
export class BlockShapes {
  readonly #table: HpackTable;
  readonly #shapes: BlockShape[] = [];
  readonly #profiles = new FieldProfiles(profilesMax);
  #place = 0;
  #last: BlockShape | null = null;
  #unmatchedBlocks = 0;

  constructor(table: HpackTable) {
    this.#table = table;
  }

  /** The shape that the next block probably has, or null if none is known. */
  get expected(): BlockShape | null {
    const last = this.#last;
    return last === null ? null : (last.next ?? last);
  }

  /** Returns another shape that begins with the first `count` fields of `shape` and continues with `key`, or null. */
  find(shape: BlockShape, count: number, key: number): BlockShape | null {
    for (const other of this.#shapes)
      if (other.keys[count] === key && other !== shape && other.beginsAs(shape, count)) return other;
    return null;
  }

  /** Forgets all shapes. Called when the table's entries are renumbered. */
  forget(): void {
    this.#shapes.length = 0;
    this.#place = 0;
    this.#last = null;
  }

  /** Notes that a block had this shape. */
  met(shape: BlockShape): void {
    this.#unmatchedBlocks = 0;
    if (this.#last !== null) this.#last.next = shape;
    this.#last = shape;
  }

  /**
   * Learns the shape of a block that fitted no known one, and returns its profile. Returns null if the block is too
   * long or if such blocks come too often to be worth learning.
   */
  learn(fields: FieldBlock): FieldProfile | null {
    if (fields.count > profileFieldsMax || fields.count === 0) return null;
    if (++this.#unmatchedBlocks > unmatchedMax && this.#unmatchedBlocks % unmatchedMax !== 0) return null;
    // A stripped field counts more bytes in the list than are kept, and a shape knows only the kept bytes.
    for (let field = 0; field < fields.count; field++)
      if ((fields.flags(field) & fieldFlag.stripped) !== 0) return null;
    const varying = varyingFields(fields, this.#last?.rows ?? none);
    const profile = this.#profiles.of(fields, varying);
    if (profile === undefined) return null;
    const shape = new BlockShape(profile, fields, varying, this.#table);
    const gone = this.#shapes[this.#place];
    this.#shapes[this.#place] = shape;
    this.#place = (this.#place + 1) % shapesMax;
    for (const other of this.#shapes) if (other.next === gone) other.next = null;
    if (this.#last !== null && this.#last !== gone) this.#last.next = shape;
    this.#last = shape;
    return profile;
  }
}
