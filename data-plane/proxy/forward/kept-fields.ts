import { FieldBlock } from "../../http2/field-block.js";
import { FieldBytesReader, sizeOfField, writeEnd, writeField, writeGone } from "../../http2/field-bytes.js";
import { fieldName } from "../../http2/field-names.js";
import type { FieldProfile } from "../../http2/field-profile.js";
import { idOfName } from "./name-ids.js";
import { giveBlock, takeBlock } from "./small-blocks.js";

const nothing = Buffer.alloc(1);
writeEnd(nothing, 0);
const restored = new FieldBlock();
const noPlaces = new Uint8Array(0);

/**
 * A copy of a request's fields, for conditions and for sending the request again. The engine reuses the original block
 * for the next request. Fields in the block's profile are not copied.
 */
export class KeptFields {
  /** Stands for a call whose fields were not kept. */
  static readonly none = new KeptFields(nothing, null, 0);
  readonly #block: Buffer;
  readonly #profile: FieldProfile | null;
  /** A mask of the profile's fields that are dropped. */
  readonly #dropped: number;

  private constructor(block: Buffer, profile: FieldProfile | null, dropped: number) {
    this.#block = block;
    this.#profile = profile;
    this.#dropped = dropped;
  }

  /** Keeps the fields that are not dropped. */
  static of(fields: FieldBlock): KeptFields {
    return new KeptFields(keep(fields), fields.profile, fields.dropped);
  }

  /** The memory that this object alone holds, in bytes. */
  get bytes(): number {
    return this.#block === nothing ? 0 : this.#block.length;
  }

  /** Returns all values of a field, joined with ",", or undefined if it is missing. */
  header(name: string): string | undefined {
    const wanted = idOfName(name);
    let joined: string | undefined;
    reader.begin(this.#block, this.#profile, this.#dropped);
    while (reader.next()) {
      if (reader.id !== wanted || (wanted === 0 && (reader.nameLength !== name.length || reader.name !== name)))
        continue;
      joined = joined === undefined ? reader.value : `${joined},${reader.value}`;
    }
    return joined;
  }

  /** Returns the fields without `grpc-timeout`, since less time is left. It returns the same block each time. */
  restore(): FieldBlock {
    restored.clear();
    reader.begin(this.#block, this.#profile, this.#dropped);
    while (reader.next())
      if (reader.id !== fieldName.grpcTimeout) restored.add(reader.name, reader.value, reader.flags);
    return restored;
  }

  /** Releases the memory. The fields may not be read afterwards. */
  release(): void {
    giveBlock(this.#block);
  }
}

/**
 * Writes the fields into a block of `takeBlock`: with a profile, only the varying fields in their order and the added
 * ones.
 */
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
