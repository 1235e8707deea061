import type { FieldProfile } from "./field-profile.js";
import type { PreparedField } from "./prepared-field.js";

type Prepared = readonly PreparedField[] | null;

const headsMax = 64; // a power of two
const headBytesMax = 1024;

/** An encoded part of a header block. */
class EncodedHead {
  readonly profile: FieldProfile;
  readonly first: Prepared;
  readonly last: Prepared;
  readonly dropped: number;
  readonly inserted: number;
  readonly bytes: Uint8Array;

  constructor(
    profile: FieldProfile,
    first: Prepared,
    last: Prepared,
    dropped: number,
    inserted: number,
    bytes: Uint8Array,
  ) {
    this.profile = profile;
    this.first = first;
    this.last = last;
    this.dropped = dropped;
    this.inserted = inserted;
    this.bytes = bytes;
  }
}

/**
 * Caches what one encoder wrote for the unchanging fields of a block and for the fields sent with them. An entry is
 * valid while nothing is inserted into the encoder's table. Profiles are compared by object identity; each belongs to
 * one connection.
 */
export class EncodedHeads {
  readonly #heads: (EncodedHead | undefined)[] = new Array<EncodedHead | undefined>(headsMax).fill(undefined);

  /**
   * Returns the encoded bytes, if they are kept. `dropped`: a mask of the profile's fields that are left out.
   * `inserted`: the newest entry number of the encoder's table.
   */
  find(
    profile: FieldProfile,
    first: Prepared,
    last: Prepared,
    dropped: number,
    inserted: number,
  ): Uint8Array | undefined {
    const head = this.#heads[profile.id & (headsMax - 1)];
    return head !== undefined &&
      head.profile === profile &&
      head.inserted === inserted &&
      head.first === first &&
      head.last === last &&
      head.dropped === dropped
      ? head.bytes
      : undefined;
  }

  /** Keeps a copy of `source[start, end)`, unless it is longer than `headBytesMax`. */
  keep(
    profile: FieldProfile,
    first: Prepared,
    last: Prepared,
    dropped: number,
    inserted: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (end - start > headBytesMax) return;
    const bytes = Uint8Array.prototype.slice.call(source, start, end);
    this.#heads[profile.id & (headsMax - 1)] = new EncodedHead(profile, first, last, dropped, inserted, bytes);
  }
}
