import type { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { fieldFlag } from "./field-classes.js";
import { fieldName, isVolatile } from "./field-names.js";

/** More fields than a mask has bits for are not described. */
export const profileFieldsMax = 32;
/** Profiles with more than this in names and values are not made: they are kept for as long as their connection. */
export const profileBytesMax = 2048;

/** In `FieldProfile.kept`, in place of a name's id. */
export const keptMark = {
  /** The field is an entry of the static table, whose index follows. */
  static: 255,
  /** After the last field. */
  end: 254,
  /** The value is another in each block: id, and the name if it has none, follow. */
  varying: 253,
  /** A varying field that is not there in this block. */
  gone: 252,
} as const;

/** Names with rules that read more than the field itself. */
const ruled = new Set<number>([
  ...[fieldName.authority, fieldName.method, fieldName.path, fieldName.scheme, fieldName.status, fieldName.protocol],
  ...[fieldName.host, fieldName.contentType, fieldName.te],
]);

let profiles = 0;

/**
 * What header blocks of one connection have in common that differ in some values only: their fields in order, the
 * values of those that stay, and what was found out about them. Whoever has a block with a profile need not look at the
 * fields that stay again. Never shared by connections.
 */
export class FieldProfile {
  /** Another for each. */
  readonly id = ++profiles;
  readonly count: number;
  /** The fields whose values differ from block to block, and a bit for each other field. */
  readonly varying: Uint8Array;
  /** By field: the names of those that vary and have no id. */
  readonly names: readonly (Uint8Array | undefined)[];
  readonly steadyMask: number;
  /** The fields as `kept-fields.ts` keeps them, with `keptMark.varying` for those whose values differ. */
  readonly kept: Uint8Array;
  readonly hash: number;
  /** Varying fields need no rule that reads other fields, and their names are no other fields'. */
  readonly isPlain: boolean;

  // What `FieldCheck` found: set once a block with this profile passed as such, and nothing was dropped from it.
  isRequest = false;
  isResponse = false;
  isTrailers = false;
  grpc = false;
  status = 0;

  /** Masks of fields that only proxies may say, and of those that not even peers may say; undefined: not known yet. */
  reserved: number | undefined = undefined;
  reservedToPeers = 0;
  /** Of the connection's owner, who knows what it is. */
  memo: object | null = null;

  constructor(fields: FieldBlock, varying: number, kept: Uint8Array, hash: number) {
    const { count } = fields;
    this.count = count;
    this.kept = kept;
    this.hash = hash;
    this.steadyMask = ~varying;
    const places: number[] = [];
    for (let field = 0; field < count; field++) if ((varying & (1 << field)) !== 0) places.push(field);
    this.varying = Uint8Array.from(places);
    this.names = Array.from({ length: count }, (_, field) =>
      (varying & (1 << field)) !== 0 && fields.nameId(field) === 0
        ? new Uint8Array(Buffer.from(fields.nameText(field), "latin1"))
        : undefined,
    );
    this.isPlain = places.every((field) => isPlain(fields, field)) && !hasSteadyLength(fields, varying);
  }
}

/** The name's rules read the field alone, and no other field has it. */
function isPlain(fields: FieldBlock, field: number): boolean {
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
 * A mask of the fields whose values will be others in the next block: literals that are not indexed, or of no use to
 * others, or that were others in the block before, whose rows are `before`.
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

const scratch = new Uint8Array(profileBytesMax + profileFieldsMax * 10);

/** The profiles of one connection, found by what they say. */
export class FieldProfiles {
  readonly #profiles: FieldProfile[] = [];
  readonly #max: number;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The profile of a block of which nothing was dropped yet; undefined: it is too long. The oldest one goes. */
  of(fields: FieldBlock, varying: number): FieldProfile | undefined {
    const length = write(fields, varying);
    if (length < 0) return undefined;
    let hash = varying;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ (scratch[i] as number), 0x01000193);
    for (const profile of this.#profiles) if (profile.hash === hash && isSame(profile.kept, length)) return profile;
    const profile = new FieldProfile(fields, varying, scratch.slice(0, length), hash);
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

/** Writes the fields into `scratch`; -1: they are too long. */
function write({ rows, bytes, count, listBytes }: FieldBlock, varying: number): number {
  if (listBytes > profileBytesMax) return -1;
  let at = 0;
  for (let field = 0, row = 0; field < count; field++, row += cells) {
    const id = rows[row] as number;
    const varies = (varying & (1 << field)) !== 0;
    const entry = rows[row + cell.entry] as number;
    if (entry < 0) {
      scratch[at++] = keptMark.static;
      scratch[at++] = -entry;
      continue;
    }
    if (varies) scratch[at++] = keptMark.varying;
    scratch[at++] = id;
    if (!varies) scratch[at++] = (rows[row + cell.flags] as number) & fieldFlag.neverIndexed;
    if (id === 0) at = put(at, bytes, rows[row + cell.nameStart] as number, rows[row + cell.nameLength] as number);
    if (!varies) at = put(at, bytes, rows[row + cell.valueStart] as number, rows[row + cell.valueLength] as number);
  }
  scratch[at++] = keptMark.end;
  return at;
}

function put(at: number, bytes: Uint8Array, start: number, length: number): number {
  scratch[at] = length >>> 16;
  scratch[at + 1] = length >>> 8;
  scratch[at + 2] = length;
  for (let i = 0; i < length; i++) scratch[at + 3 + i] = bytes[start + i] as number;
  return at + 3 + length;
}
