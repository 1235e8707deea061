/** Reads an audit log from its first entry on and finds what was changed, removed, moved, inserted or cut off. Pure. */
import { type Digest, digestOf } from "../digest.js";
import { messageOf } from "../errors.js";
import type { KeySet } from "../signature.js";
import { type AuditEntry, parseAuditEntry } from "../wire/audit.js";
import { type AuditHead, verifyAuditHead } from "../wire/audit-head.js";

export interface AuditVerdict {
  /** How many entries were read. */
  readonly entries: number;
  /** The numbers of the first and the last entry; 0 if there was no entry. */
  readonly first: number;
  readonly last: number;
  /** The number of heads whose signature holds. */
  readonly heads: number;
  /** Every entry up to this number is covered by a signature that holds; 0 if none is. */
  readonly signedUntil: number;
  /** When that signature was made, Unix time in milliseconds. */
  readonly signedMs: number;
  /** What is wrong, one line each, at most a hundred; empty if the log is what was written. */
  readonly problems: readonly string[];
}

const problemsMax = 100;
/**
 * Digests of the newest entries that are kept, because a head is signed over an earlier entry: at most this many
 * entries may lie between the two.
 */
const digestsKept = 20_000;

export class AuditVerifier {
  readonly #mesh: string;
  readonly #keys: KeySet;
  readonly #digests = new Map<number, Digest>();
  readonly #problems: string[] = [];
  #count = 0;
  #first = 0;
  #last = 0;
  #lastDigest: Digest | undefined;
  #heads = 0;
  #signed: Pick<AuditHead, "sequence" | "timeMs"> = { sequence: 0, timeMs: 0 };

  /** `keys`: every signing key that the mesh has ever had. */
  constructor(mesh: string, keys: KeySet) {
    this.#mesh = mesh;
    this.#keys = keys;
  }

  /** Adds a problem that a reader found before it could parse an entry. */
  refuse(problem: string): void {
    if (this.#problems.length < problemsMax) this.#problems.push(problem);
  }

  /** Verifies the next entry, given as the bytes that were stored. */
  add(bytes: Uint8Array): void {
    this.#count += 1;
    let entry: AuditEntry;
    try {
      entry = parseAuditEntry(bytes);
    } catch (error) {
      this.refuse(`what stands after entry ${this.#last} is no entry: ${messageOf(error)}`);
      return;
    }
    const { sequence } = entry;
    const expected = this.#last + 1;
    if (sequence < expected) {
      const again = this.#digests.has(sequence) ? "is there twice: one was inserted" : "was moved or inserted";
      this.refuse(`entry ${sequence} ${again}; it stands after entry ${this.#last}`);
      return;
    }
    if (sequence > expected) {
      const missing = sequence === expected + 1 ? `entry ${expected} is` : `entries ${expected} to ${sequence - 1} are`;
      this.refuse(`${missing} missing`);
    } else if (entry.previous !== this.#lastDigest) {
      this.refuse(`entry ${this.#last} or ${sequence} was changed: entry ${sequence} does not name the one before it`);
    }
    if (this.#first === 0) this.#first = sequence;
    this.#last = sequence;
    this.#lastDigest = digestOf(bytes);
    this.#digests.set(sequence, this.#lastDigest);
    this.#digests.delete(sequence - digestsKept);
    if (entry.action === "head") this.#checkHead(Buffer.from(entry.detail, "latin1"), `at entry ${sequence}`);
  }

  /** Returns the verdict. `head`: the head that was signed over the last entry, if there is one. */
  finish(head: Uint8Array | undefined): AuditVerdict {
    if (head !== undefined) {
      const signed = this.#checkHead(head, "at the end");
      if (signed !== undefined && signed.sequence > this.#last)
        this.refuse(`entries ${this.#last + 1} to ${signed.sequence} are missing: the end was cut off`);
      if (signed !== undefined && signed.sequence < this.#last)
        this.refuse(`entries ${signed.sequence + 1} to ${this.#last} are under no signature: they were added`);
    } else if (this.#count > 0) {
      this.refuse(`the end is not signed: entries after entry ${this.#last} may have been cut off`);
    }
    return {
      entries: this.#count,
      first: this.#first,
      last: this.#last,
      heads: this.#heads,
      signedUntil: this.#signed.sequence,
      signedMs: this.#signed.timeMs,
      problems: [...this.#problems],
    };
  }

  #checkHead(bytes: Uint8Array, where: string): AuditHead | undefined {
    let head: AuditHead;
    try {
      head = verifyAuditHead(bytes, this.#mesh, this.#keys);
    } catch (error) {
      this.refuse(`the signed head ${where} does not hold: ${messageOf(error)}`);
      return undefined;
    }
    const digest = this.#digests.get(head.sequence);
    if (digest === head.entry) {
      this.#heads += 1;
      if (head.sequence > this.#signed.sequence) this.#signed = head;
    } else if (digest !== undefined) {
      const from = this.#signed.sequence + 1;
      const which = from >= head.sequence ? `entry ${head.sequence}` : `an entry of ${from} to ${head.sequence}`;
      this.refuse(`${which} was changed: it is not what was signed ${where}`);
    }
    return head;
  }
}
