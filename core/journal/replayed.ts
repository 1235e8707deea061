/** The header of a replayed write, which the replaying operator sends to the proxy. */
import { parseSpiffeId, type SpiffeId } from "../identity.js";
import { journalKeyBytesMax } from "../wire/journal/entry.js";

export interface ReplayedWrite {
  /** The sequence of the write's entry in the journal. */
  readonly sequence: number;
  /** The caller of the write when it was journaled. */
  readonly caller: SpiffeId;
  /** The idempotency key of the write; "": it had none. */
  readonly key: string;
}

export function renderReplayed({ sequence, caller, key }: ReplayedWrite): string {
  const parts = [String(sequence), caller];
  return (key === "" ? parts : [...parts, Buffer.from(key, "utf8").toString("base64url")]).join(" ");
}

/** Parses the header. Returns undefined for a text that `renderReplayed` does not make. */
export function parseReplayed(text: string): ReplayedWrite | undefined {
  const found = /^([1-9][0-9]{0,14}) (spiffe:[^ ]+)(?: ([A-Za-z0-9_-]+))?$/.exec(text);
  if (found === null) return undefined;
  const [, sequence = "", caller = "", encoded = ""] = found;
  const key = Buffer.from(encoded, "base64url");
  if (key.length > journalKeyBytesMax) return undefined;
  try {
    return { sequence: Number(sequence), caller: parseSpiffeId(caller), key: key.toString("utf8") };
  } catch {
    return undefined;
  }
}
