/** What the header of a replayed write says, from the operator who replays to the proxy. */
import { parseSpiffeId, type SpiffeId } from "../identity.js";
import { journalKeyBytesMax } from "../wire/journal/entry.js";

export interface ReplayedWrite {
  /** The sequence of its entry in the journal. */
  readonly sequence: number;
  /** Who called when the write was journaled. */
  readonly caller: SpiffeId;
  /** Its idempotency key; "": none. */
  readonly key: string;
}

export function renderReplayed({ sequence, caller, key }: ReplayedWrite): string {
  const parts = [String(sequence), caller];
  return (key === "" ? parts : [...parts, Buffer.from(key, "utf8").toString("base64url")]).join(" ");
}

/** undefined: the text is none that `renderReplayed` makes. */
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
