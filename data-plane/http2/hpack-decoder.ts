import { type BlockShape, BlockShapes } from "./block-shapes.js";
import { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { classifyEnds, classifyName, classifyValue, fieldFlag, hashOf } from "./field-classes.js";
import { findName, isVolatile, nameBytes } from "./field-names.js";
import { HpackReader } from "./hpack-reader.js";
import { entryOverhead, HpackTable, ringBytes, tableBytesMax } from "./hpack-table.js";
import { type HpackDecoderLimits, ListCount } from "./list-count.js";
import { staticEntries, staticName, staticValueLength, staticValues } from "./static-table.js";

/** The result of decoding a header block. */
export const decoded = {
  ok: 0,
  /**
   * More fields or bytes than allowed. The block was decoded to keep the table in step, and not all fields were kept;
   * gRPC's status and message are among them if possible.
   */
  tooLarge: 1,
  /** So far over the limit that decoding stopped: the connection cannot continue. */
  flood: 2,
  /** The block breaks RFC 7541: the connection cannot continue (COMPRESSION_ERROR). */
  error: 3,
} as const;

/** Entries are renumbered from this number on, before a number needs more bits than a row's cell has. */
const entryMax = 2 ** 30;

/** Decodes the header blocks that one connection receives (RFC 7541). Fields are counted before they are copied. */
export class HpackDecoder {
  readonly fields: FieldBlock;
  readonly table: HpackTable;
  readonly #reader: HpackReader;
  readonly #shapes: BlockShapes;
  /**
   * The shape that the fields so far follow, or null. While it is followed, the rows of its unchanging fields are not
   * filled in.
   */
  #followed: BlockShape | null = null;
  readonly #list: ListCount;
  /** Whether the last field read breaks the rules. */
  #failed = false;
  /**
   * Bytes that this block inserted into the table. Past `tableBytesMax` the ring may overwrite what the block refers
   * to.
   */
  #insertedBytes = 0;

  constructor(limits: HpackDecoderLimits) {
    this.#list = new ListCount(limits);
    this.#reader = new HpackReader(limits.headerListBytesMax);
    const base = staticValues.length;
    this.fields = new FieldBlock(base + ringBytes, base + ringBytes + 2048);
    this.table = new HpackTable(this.fields.bytes, base);
    this.fields.table = this.table;
    this.#shapes = new BlockShapes(this.table);
  }

  /**
   * Decodes the whole block `source[start, end)` into `fields` and returns one of `decoded`. The fields stay valid
   * until the next call, and as long as `source` is not overwritten.
   */
  decode(source: Uint8Array, start: number, end: number): number {
    const fields = this.fields;
    fields.clear();
    fields.wire = source;
    const reader = this.#reader;
    reader.begin(source, start, end);
    this.#failed = false;
    this.#insertedBytes = 0;
    const list = this.#list;
    list.begin();
    if (this.table.inserted > entryMax) {
      this.table.renumber();
      this.#shapes.forget();
    }
    if (this.#follow(source)) return decoded.ok;
    if (this.#failed) return decoded.error;
    if (list.isFlood) return decoded.flood;
    let updates = 0;
    while (reader.at < end) {
      const first = source[reader.at] as number;
      if (first >= 0x80) {
        if (!this.#indexed(reader.integer(7))) return decoded.error;
      } else if (first >= 0x40) {
        if (!this.#literal(6, 0)) return decoded.error;
      } else if (first >= 0x20) {
        const size = reader.integer(5);
        // Size updates are allowed only at the start of a block, at most twice (RFC 7541, 4.2), and only up to the size
        // that we announced.
        if (size < 0 || size > tableBytesMax || list.fields > 0 || ++updates > 2) return decoded.error;
        this.table.setMaxSize(size);
      } else {
        if (!this.#unindexed(first)) return decoded.error;
      }
      if (list.isFlood) return decoded.flood;
    }
    if (list.isTooLarge) return decoded.tooLarge;
    // A block that inserts more than the table holds may have evicted its own first fields.
    if (this.#insertedBytes <= tableBytesMax) fields.profile = this.#shapes.learn(fields);
    return decoded.ok;
  }

  /**
   * Reads fields as long as they match a known shape. Returns true if the whole block matched; `fields` has the shape's
   * rows then. Otherwise `decode` continues where the match ended. Size updates and invalid indexes are left to
   * `decode`.
   */
  #follow(source: Uint8Array): boolean {
    const fields = this.fields;
    const reader = this.#reader;
    let shape = this.#shapes.expected;
    this.#followed = shape;
    while (shape !== null && reader.at < reader.end) {
      const field = fields.count;
      const first = source[reader.at] as number;
      if (first >= 0x20 && first < 0x40) break;
      const before = reader.at;
      const key = first >= 0x80 ? this.#key() : 0;
      if (shape.keys[field] !== key) {
        shape = this.#shapes.find(shape, field, key);
        if (shape === null) {
          reader.at = before;
          break;
        }
        this.#followed = shape;
      }
      if (key !== 0) {
        fields.count++;
        continue;
      }
      this.#failed = !(first >= 0x40 ? this.#literal(6, 0) : this.#unindexed(first));
      if (this.#failed || this.#followed === null) return false;
      if (fields.count === field || !shape.isNamed(fields, field)) return this.#unfollow(field);
    }
    return this.#isFollowed() || this.#unfollow(fields.count);
  }

  /** Ends following. Returns true if the whole block matched the followed shape. */
  #isFollowed(): boolean {
    const { fields } = this;
    const shape = this.#followed;
    if (shape === null || this.#reader.at < this.#reader.end || fields.count !== shape.count) return false;
    if (this.#list.bytes + shape.steadyBytes > this.#list.bytesMax) return false;
    fields.takeShape(shape.rows, shape.profile, shape.steadyBytes);
    this.#shapes.met(shape);
    return true;
  }

  /** Stops following the shape and fills in the rows of the first `count` fields. */
  #unfollow(count: number): false {
    const { fields } = this;
    const shape = this.#followed;
    this.#followed = null;
    if (shape === null) return false;
    for (let field = 0; field < count; field++) {
      if (shape.keys[field] === 0) continue;
      this.#list.add(shape.sizeOf(field) - 32);
      fields.putRow(field, shape.rows, shape.sizeOf(field));
    }
    return false;
  }

  /**
   * Reads an index. Returns the number of its entry in the dynamic table, minus its index in the static table, or NaN
   * if it is in neither.
   */
  #key(): number {
    const index = this.#reader.integer(7);
    const back = index - staticEntries;
    if (index <= 0 || back > this.table.count) return Number.NaN;
    return back > 0 ? this.table.inserted - back + 1 : -index;
  }

  #unindexed(first: number): boolean {
    return this.#literal(4, first >= 0x10 ? fieldFlag.neverIndexed : 0);
  }

  #indexed(index: number): boolean {
    if (index <= 0) return false;
    const fields = this.fields;
    if (index <= staticEntries) {
      const length = nameBytes(staticName[index] as number).length + (staticValueLength[index] as number);
      if (this.#list.add(length)) fields.pushStatic(index);
      return true;
    }
    const table = this.table;
    const back = index - staticEntries;
    if (back > table.count) return false;
    const entry = table.inserted - back + 1;
    if (!this.#list.add(table.sizeOf(entry) - entryOverhead) && !this.#list.rescues(table.nameId(entry))) return true;
    fields.pushEntry(table, entry);
    if (this.#insertedBytes > tableBytesMax) this.#moveOut(fields.count - 1);
    return true;
  }

  #literal(bits: number, never: number): boolean {
    const fields = this.fields;
    const reader = this.#reader;
    const keptAt = fields.writeAt;
    reader.isTooLong = false;
    const index = reader.integer(bits);
    if (index < 0) return false;
    let id = 0;
    let nameStart = 0;
    let nameLength: number;
    let flags = never;
    if (index === 0) {
      if (!reader.string(fields)) return false;
      nameStart = reader.stringStart;
      nameLength = reader.stringLength;
      id = findName(fields.bytes, nameStart, nameStart + nameLength);
      if (id === 0) flags |= classifyName(fields.bytes, nameStart, nameLength);
    } else if (index <= staticEntries) {
      id = staticName[index] as number;
      nameLength = nameBytes(id).length;
    } else {
      const back = index - staticEntries;
      if (back > this.table.count) return false;
      const entry = this.table.inserted - back + 1;
      id = this.table.nameId(entry);
      nameLength = this.table.nameLength(entry);
      flags |= this.table.flags(entry) & (fieldFlag.badName | fieldFlag.underscore);
      nameStart = this.table.nameStart(entry);
      if (id === 0) nameStart = this.#toScratch(nameStart, nameLength);
    }
    if (!reader.string(fields)) return false;
    flags |= reader.isPrintable
      ? classifyEnds(fields.bytes, reader.stringStart, reader.stringLength)
      : classifyValue(fields.bytes, reader.stringStart, reader.stringLength);
    if (reader.isTooLong) this.#list.isTooLarge = true;
    const keep = this.#list.add(nameLength + reader.stringLength) || (!reader.isTooLong && this.#list.rescues(id));
    const stripped = (flags & fieldFlag.stripped) === 0 ? 0 : reader.strip(fields.bytes);
    const valueStart = reader.stringStart;
    const valueLength = reader.stringLength;
    let entry = 0;
    let hash = 0;
    if (bits === 6) {
      // Encoders never look for a volatile field in their tables.
      if (!isVolatile(id)) hash = hashOf(id, fields.bytes, valueStart, valueLength);
      if (id === 0) hash = hashOf(hash, fields.bytes, nameStart, nameLength);
      this.#makeRoom(nameLength + valueLength + stripped);
      const { table } = this;
      const { bytes } = fields;
      entry = table.insert(id, bytes, nameStart, nameLength, bytes, valueStart, valueLength, hash, flags, stripped);
    }
    if (!keep) {
      fields.writeAt = keptAt;
      return true;
    }
    if (reader.isHuffman) flags |= fieldFlag.wireHuffman;
    fields.push(
      id,
      nameStart,
      nameLength,
      valueStart,
      valueLength,
      hash,
      flags,
      entry,
      reader.wireStart,
      reader.wireLength,
    );
    return true;
  }

  /** Called before `bytes` bytes are inserted into the table: moves what the ring may overwrite. */
  #makeRoom(bytes: number): void {
    const before = this.#insertedBytes;
    this.#insertedBytes += bytes;
    if (before > tableBytesMax || this.#insertedBytes <= tableBytesMax) return;
    this.#unfollow(this.fields.count);
    for (let field = 0; field < this.fields.count; field++) this.#moveOut(field);
  }

  /** Copies what a field refers to in the table's ring to where nothing overwrites it during this block. */
  #moveOut(field: number): void {
    const { rows } = this.fields;
    const row = field * cells;
    if ((rows[row + cell.entry] as number) <= 0 || (rows[row + cell.valueStart] as number) >= this.fields.scratchStart)
      return;
    const nameLength = rows[row + cell.nameLength] as number;
    if (rows[row] === 0) rows[row + cell.nameStart] = this.#toScratch(rows[row + cell.nameStart] as number, nameLength);
    const valueLength = rows[row + cell.valueLength] as number;
    rows[row + cell.valueStart] = this.#toScratch(rows[row + cell.valueStart] as number, valueLength);
  }

  #toScratch(start: number, length: number): number {
    const fields = this.fields;
    fields.reserve(length);
    const at = fields.writeAt;
    fields.bytes.copyWithin(at, start, start + length);
    fields.writeAt = at + length;
    return at;
  }
}
