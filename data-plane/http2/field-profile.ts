/** What the constructor of a profile takes. */
export type ProfileParts = Pick<FieldProfile, "varying" | "names" | "steadyMask" | "kept" | "hash" | "isPlain">;

let profiles = 0;

/**
 * What those header blocks of one connection have in common that differ only in some values: their fields in order, the
 * unchanging values, and the results of checking them. Code that gets a block with a profile need not check the
 * unchanging fields again. Connections never share a profile.
 */
export class FieldProfile {
  /** Unique in the process. */
  readonly id = ++profiles;
  readonly count: number;
  /** The places of the fields whose values differ from block to block. */
  readonly varying: Uint8Array;
  /** By field: the names of the varying fields whose names have no id. */
  readonly names: readonly (Uint8Array | undefined)[];
  /** A bit for each other field. */
  readonly steadyMask: number;
  /** The fields, written as bytes (field-bytes.ts). */
  readonly kept: Uint8Array;
  readonly hash: number;
  /**
   * Whether each varying field is checked by rules that read only that field, and has a name that no other field has.
   */
  readonly isPlain: boolean;

  // Results of `FieldCheck`, set once a block with this profile passed and none of its fields was dropped.
  isRequest = false;
  isResponse = false;
  isTrailers = false;
  grpc = false;
  status = 0;

  /**
   * A slot for the owner of the connection, who keeps here what it derived from such blocks. The engine does not read
   * it.
   */
  memo: object | null = null;

  constructor(parts: ProfileParts) {
    this.count = parts.names.length;
    this.varying = parts.varying;
    this.names = parts.names;
    this.steadyMask = parts.steadyMask;
    this.kept = parts.kept;
    this.hash = parts.hash;
    this.isPlain = parts.isPlain;
  }
}
