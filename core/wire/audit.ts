/** Entries of the audit log. They are not signed: each contains the digest of the one before. */
import { AuditEntry as AuditMessage } from "../../proto/gen/ashlar/v1/audit.js";
import { type Digest, digestFromBytes, digestToBytes } from "../digest.js";
import { AshlarError } from "../errors.js";
import { boundedText, integer, link } from "./bounds.js";
import { decodeStrict, reading } from "./strict.js";

export interface AuditEntry {
  readonly sequence: number;
  /** The digest of the entry before; undefined for the first entry. */
  readonly previous: Digest | undefined;
  readonly timeMs: number;
  readonly actor: string;
  readonly source: string;
  readonly action: string;
  readonly target: string;
  readonly outcome: string;
  readonly detail: string;
  /**
   * The id of the entry, 32 lower-case hexadecimal digits, which stays the same wherever the entry is stored; empty: it
   * has none.
   */
  readonly id: string;
}

const entryBytesMax = 64 * 1024;
const bytesMax = { actor: 2048, source: 256, action: 64, target: 1024, outcome: 64, detail: 4096 } as const;
type TextField = keyof typeof bytesMax;

/** Cuts a text to the most bytes that its field may have, at the end of a character. */
function cut(field: TextField, text: string): string {
  if (Buffer.byteLength(text) <= bytesMax[field]) return text;
  const whole = Buffer.from(text)
    .subarray(0, bytesMax[field] - 3)
    .toString("utf8");
  return `${whole.replace(/\uFFFD+$/, "")}…`;
}

function identifier(id: Uint8Array): string {
  if (id.length !== 0 && id.length !== 16) throw new AshlarError("invalid_record", `id has ${id.length} bytes, not 16`);
  return Buffer.from(id).toString("hex");
}

/** Returns the deterministic bytes of an entry. Texts that are too long are cut. */
export function encodeAuditEntry(entry: AuditEntry): Uint8Array {
  return AuditMessage.encode({
    sequence: entry.sequence,
    previous: Buffer.from(entry.previous === undefined ? [] : digestToBytes(entry.previous)),
    timeMs: entry.timeMs,
    actor: cut("actor", entry.actor),
    source: cut("source", entry.source),
    action: cut("action", entry.action),
    target: cut("target", entry.target),
    outcome: cut("outcome", entry.outcome),
    detail: cut("detail", entry.detail),
    id: Buffer.from(entry.id, "hex"),
  }).finish();
}

/** Parses an entry; fails with `invalid_record` or `limit`. */
export function parseAuditEntry(bytes: Uint8Array): AuditEntry {
  const message = decodeStrict(AuditMessage, bytes, "audit entry", entryBytesMax);
  return reading("audit entry", () => {
    const text = (field: TextField): string => boundedText(field, message[field], bytesMax[field]);
    const previous = message.previous.length === 0 ? undefined : digestFromBytes(message.previous);
    return {
      sequence: integer("sequence", message.sequence, 1),
      previous: link("previous", message.sequence, previous),
      timeMs: integer("time_ms", message.timeMs, 0),
      actor: text("actor"),
      source: text("source"),
      action: text("action"),
      target: text("target"),
      outcome: text("outcome"),
      detail: text("detail"),
      id: identifier(message.id),
    };
  });
}
