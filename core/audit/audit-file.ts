/**
 * An audit log as a file: lines of JSON that people can read. The first line has the mesh and its trust, each line
 * after it an entry with its bytes, the last the signed head. What people read is compared with the bytes. Pure.
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
  /** Trust records, signed. */
  readonly trust: readonly Uint8Array[];
}

const format = "ashlar-audit-1";
const recordsMax = 10_000;
/** No line is longer. */
export const auditLineBytesMax = 32 * 1024 * 1024;

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const fromBase64 = (text: unknown): Uint8Array => {
  if (typeof text !== "string") throw new AshlarError("invalid_record", "base64 is wanted");
  return new Uint8Array(Buffer.from(text, "base64"));
};

export function renderAuditTrust({ mesh, rootPublicKey, trust }: AuditTrust): string {
  return JSON.stringify({ format, mesh, rootPublicKey: toBase64(rootPublicKey), trust: trust.map(toBase64) });
}

/** The line of an entry; one that cannot be read has its bytes alone. */
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
 * Every key that ever was one of the mesh's, by trust records that its root signed. Fails with `unauthenticated` if
 * the root is not the one that is pinned, and with `invalid_record`.
 */
export function auditKeys({ mesh, rootPublicKey, trust }: AuditTrust, rootHash: Digest | undefined): KeySet {
  const found = digestOf(rootPublicKey);
  if (rootHash !== undefined && found !== rootHash)
    throw new AshlarError("unauthenticated", `this log is of a mesh with root hash ${found}, not ${rootHash}`);
  if (trust.length > recordsMax) throw new AshlarError("limit", `more than ${recordsMax} trust records`);
  const root = rootKeySet(rootPublicKey);
  return new Map(trust.flatMap((bytes) => [...keySetOf(verifyTrust(bytes, mesh, root).body)]));
}

/** Verifies such a file, line by line. */
export class AuditFileVerifier {
  readonly #rootHash: Digest | undefined;
  #verifier: AuditVerifier | undefined;
  #head: Uint8Array | undefined;
  #lines = 0;

  /** `rootHash`: the mesh that it has to come from. */
  constructor(rootHash: Digest | undefined) {
    this.#rootHash = rootHash;
  }

  /** True if no line was given. */
  get isEmpty(): boolean {
    return this.#lines === 0;
  }

  /** Fails with `invalid_argument` if the first line is no beginning, and as `auditKeys` does if it cannot be trusted. */
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
