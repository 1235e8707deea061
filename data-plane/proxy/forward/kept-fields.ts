import { FieldBlock } from "../../http2/field-block.js";
import { FieldBytesReader, sizeOfField, writeEnd, writeField, writeGone } from "../../http2/field-bytes.js";
import { fieldName, findName } from "../../http2/field-names.js";
import type { FieldProfile } from "../../http2/field-profile.js";
import { giveBlock, takeBlock } from "./small-blocks.js";

const nothing = Buffer.alloc(1);
writeEnd(nothing, 0);
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

/** Of a block with a profile only the fields that vary, in their order, and those that were added; in a block of `takeBlock`. */
function keep(fields: FieldBlock): Buffer {
  const { profile, count } = fields;
  const varying = profile === null ? noPlaces : profile.varying;
  const from = profile === null ? 0 : profile.count;
  let size = 1;
  for (let i = 0; i < varying.length; i++) size += sizeOfField(fields, varying[i] as number);
  for (let field = from; field < count; field++) size += sizeOfField(fields, field);
  const kept = takeBlock(size);
  let at = 0;
  for (let i = 0; i < varying.length; i++) {
    const field = varying[i] as number;
    at = fields.isDropped(field) ? writeGone(kept, at) : writeField(kept, at, fields, field);
  }
  for (let field = from; field < count; field++) if (!fields.isDropped(field)) at = writeField(kept, at, fields, field);
  writeEnd(kept, at);
  return kept;
}

const reader = new FieldBytesReader();

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
