/**
 * An audit log as a file: lines of JSON that people can read. The first line states the mesh and its trust records,
 * each following line one entry with its signed bytes, and the last line the signed head. The verifier compares the
 * readable text with the signed bytes. Pure.
 */
import { type Digest, digestOf } from "../digest.js";
import { AshlarError, messageOf } from "../errors.js";
import type { KeySet } from "../signature.js";
import { parseAuditEntry } from "../wire/audit.js";
import { keySetOf, rootKeySet, verifyTrust } from "../wire/records.js";
import { type AuditVerdict, AuditVerifier } from "./audit-verifier.js";

/** The mesh and the keys that a log is verified with. */
export interface AuditTrust {
  readonly mesh: string;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** The mesh's signed trust records, oldest first. */
  readonly trust: readonly Uint8Array[];
}

const format = "ashlar-audit-1";
const recordsMax = 10_000;
/** The most bytes of one line. */
export const auditLineBytesMax = 32 * 1024 * 1024;

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const fromBase64 = (text: unknown): Uint8Array => {
  if (typeof text !== "string") throw new AshlarError("invalid_record", "base64 is wanted");
  return new Uint8Array(Buffer.from(text, "base64"));
};

export function renderAuditTrust({ mesh, rootPublicKey, trust }: AuditTrust): string {
  return JSON.stringify({ format, mesh, rootPublicKey: toBase64(rootPublicKey), trust: trust.map(toBase64) });
}

/** Renders the line of an entry. An entry that cannot be parsed gets a line with its bytes alone. */
export function renderAuditLine(bytes: Uint8Array): string {
  const raw = { bytes: toBase64(bytes) };
  try {
    const { sequence, timeMs, actor, source, action, target, outcome, detail } = parseAuditEntry(bytes);
    const time = new Date(timeMs).toISOString();
    return JSON.stringify({ sequence, time, actor, source, action, target, outcome, detail, ...raw });
  } catch {
    return JSON.stringify(raw);
  }
}

export function renderAuditHead(head: Uint8Array): string {
  return JSON.stringify({ head: Buffer.from(head).toString("latin1") });
}

/**
 * Returns every signing key that the mesh has ever had, read from trust records that its root signed. Fails with
 * `unauthenticated` if the root is not the pinned one, and with `invalid_record` if a record does not verify.
 */
export function auditKeys({ mesh, rootPublicKey, trust }: AuditTrust, rootHash: Digest | undefined): KeySet {
  const found = digestOf(rootPublicKey);
  if (rootHash !== undefined && found !== rootHash)
    throw new AshlarError("unauthenticated", `this log is of a mesh with root hash ${found}, not ${rootHash}`);
  if (trust.length > recordsMax) throw new AshlarError("limit", `more than ${recordsMax} trust records`);
  const root = rootKeySet(rootPublicKey);
  return new Map(trust.flatMap((bytes) => [...keySetOf(verifyTrust(bytes, mesh, root).body)]));
}

/** Verifies an audit file, line by line. */
export class AuditFileVerifier {
  readonly #rootHash: Digest | undefined;
  #verifier: AuditVerifier | undefined;
  #head: Uint8Array | undefined;
  #lines = 0;

  /** `rootHash`: the digest of the root key of the mesh that the file must come from; undefined: any mesh. */
  constructor(rootHash: Digest | undefined) {
    this.#rootHash = rootHash;
  }

  /** True if no line has been added. */
  get isEmpty(): boolean {
    return this.#lines === 0;
  }

  /**
   * Verifies one line. Fails with `invalid_argument` if the first line is not the header of an audit file, and as
   * `auditKeys` does if its trust records do not verify.
   */
  add(line: string): void {
    this.#lines += 1;
    if (this.#verifier === undefined) {
      const header = parseHeader(line);
      this.#verifier = new AuditVerifier(header.mesh, auditKeys(header, this.#rootHash));
      return;
    }
    if (this.#head !== undefined) this.#verifier.refuse(`line ${this.#lines} stands after the signed end`);
    try {
      const { head, bytes } = JSON.parse(line) as Record<string, unknown>;
      if (typeof head === "string") {
        this.#head = Buffer.from(head, "latin1");
        return;
      }
      const entry = fromBase64(bytes);
      if (renderAuditLine(entry) !== line)
        this.#verifier.refuse(`line ${this.#lines} was changed: what it says is not what its bytes say`);
      this.#verifier.add(entry);
    } catch (error) {
      this.#verifier.refuse(`line ${this.#lines} cannot be read: ${messageOf(error)}`);
    }
  }

  finish(): AuditVerdict {
    if (this.#verifier === undefined) throw new AshlarError("invalid_argument", "the file is empty");
    return this.#verifier.finish(this.#head);
  }
}

function parseHeader(line: string): AuditTrust {
  try {
    const header = JSON.parse(line) as Record<string, unknown>;
    const { mesh, trust } = header;
    if (header.format !== format || typeof mesh !== "string" || !Array.isArray(trust)) throw new Error("no header");
    return { mesh, rootPublicKey: fromBase64(header.rootPublicKey), trust: trust.map(fromBase64) };
  } catch (cause) {
    throw new AshlarError("invalid_argument", "not a file that `ashlar audit export` wrote", { cause });
  }
}
