/** Makes the profiles of a connection from the blocks that it receives. */
import type { FieldBlock } from "./field-block.js";
import { writeEnd, writeField, writeVarying, writtenMax } from "./field-bytes.js";
import { cell, cells } from "./field-cells.js";
import { fieldName, isVolatile } from "./field-names.js";
import { FieldProfile } from "./field-profile.js";

/** The most fields that a profile describes: a mask has this many bits. */
export const profileFieldsMax = 32;
/** The most bytes of names and values in a profile, which is kept as long as its connection. */
const profileBytesMax = 2048;

/** Names whose rules read more than the field itself. */
const ruled = new Set<number>([
  ...[fieldName.authority, fieldName.method, fieldName.path, fieldName.scheme, fieldName.status, fieldName.protocol],
  ...[fieldName.host, fieldName.contentType, fieldName.te],
]);

/** Builds the profile of blocks like this one, whose fields in the mask `varying` differ. */
function buildProfile(fields: FieldBlock, varying: number, kept: Uint8Array, hash: number): FieldProfile {
  const places: number[] = [];
  for (let field = 0; field < fields.count; field++) if ((varying & (1 << field)) !== 0) places.push(field);
  const names = Array.from({ length: fields.count }, (_, field) =>
    (varying & (1 << field)) !== 0 && fields.nameId(field) === 0
      ? new Uint8Array(Buffer.from(fields.nameText(field), "latin1"))
      : undefined,
  );
  const isPlain = places.every((field) => hasOwnRules(fields, field)) && !hasSteadyLength(fields, varying);
  return new FieldProfile({ varying: Uint8Array.from(places), names, steadyMask: ~varying, kept, hash, isPlain });
}

/** Whether the rules for the field's name read only this field, and no other field has the name. */
function hasOwnRules(fields: FieldBlock, field: number): boolean {
  const id = fields.nameId(field);
  if (ruled.has(id)) return false;
  const name = fields.nameText(field);
  for (let other = 0; other < fields.count; other++)
    if (other !== field && fields.nameId(other) === id && fields.nameText(other) === name) return false;
  return true;
}

function hasSteadyLength(fields: FieldBlock, varying: number): boolean {
  for (let field = 0; field < fields.count; field++)
    if (fields.nameId(field) === fieldName.contentLength && (varying & (1 << field)) === 0) return true;
  return false;
}

/**
 * Returns a mask of the fields whose values will probably differ in the next block: literals without indexing, literals
 * with volatile names, and literals that differ from the previous block, whose rows are `before`.
 */
export function varyingFields(fields: FieldBlock, before: Int32Array): number {
  const { rows, count } = fields;
  let varying = 0;
  for (let field = 0, row = 0; field < count; field++, row += cells) {
    const id = rows[row] as number;
    const isLiteral = (rows[row + cell.wireLength] as number) > 0;
    const isOther =
      row < before.length && before[row] === id && before[row + cell.hash] !== rows[row + cell.hash] && !ruled.has(id);
    if (rows[row + cell.entry] === 0 || (isLiteral && (isVolatile(id) || isOther))) varying |= 1 << field;
  }
  return varying;
}

const scratch = new Uint8Array(profileBytesMax + profileFieldsMax * writtenMax + 1);

/** The profiles of one connection, found by their content. */
export class FieldProfiles {
  readonly #profiles: FieldProfile[] = [];
  readonly #max: number;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Returns the profile of a block from which nothing was dropped yet, making one if needed; the oldest profile is
   * replaced. Returns undefined if the block is too long.
   */
  of(fields: FieldBlock, varying: number): FieldProfile | undefined {
    const length = write(fields, varying);
    if (length < 0) return undefined;
    let hash = varying;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ (scratch[i] as number), 0x01000193);
    for (const profile of this.#profiles) if (profile.hash === hash && isSame(profile.kept, length)) return profile;
    const profile = buildProfile(fields, varying, scratch.slice(0, length), hash);
    this.#profiles[this.#next] = profile;
    this.#next = (this.#next + 1) % this.#max;
    return profile;
  }
}

function isSame(kept: Uint8Array, length: number): boolean {
  if (kept.length !== length) return false;
  for (let i = 0; i < length; i++) if (kept[i] !== scratch[i]) return false;
  return true;
}

/** Writes the fields into `scratch` and returns their length, or -1 if they are too long. */
function write(fields: FieldBlock, varying: number): number {
  if (fields.listBytes > profileBytesMax) return -1;
  let at = 0;
  for (let field = 0; field < fields.count; field++) {
    const varies = (varying & (1 << field)) !== 0;
    at = varies ? writeVarying(scratch, at, fields, field) : writeField(scratch, at, fields, field);
  }
  return writeEnd(scratch, at);
}
