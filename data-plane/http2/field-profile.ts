/** What a profile says from the start. */
export type ProfileParts = Pick<FieldProfile, "varying" | "names" | "steadyMask" | "kept" | "hash" | "isPlain">;

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
  /** The fields as bytes (field-bytes.ts). */
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

  /** A slot for the owner of the connection, who alone knows what is in it: what it found out about such blocks. */
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
