/** The calls by which an operator replays a journal's history, and what the application is told about them. */
import { parseReplayed, type ReplayedWrite } from "../../core/journal/replayed.js";
import { headerNames } from "../../core/wire/headers.js";
import type { FieldBlock } from "../http2/field-block.js";
import { PreparedField } from "../http2/prepared-field.js";

const mark = new PreparedField(headerNames.replay, "1");

/**
 * Returns which write an operator's call replays. undefined: it is no replay. The header field is dropped later, like
 * all that only proxies may send.
 */
export function replayedBy(fields: FieldBlock): ReplayedWrite | "malformed" | undefined {
  for (let field = 0; field < fields.count; field++)
    if (fields.nameText(field) === headerNames.replay) return parseReplayed(fields.valueText(field)) ?? "malformed";
  return undefined;
}

/** Returns the fields that tell the application which write is replayed. The write's caller is sent as well. */
export function replayFields({ sequence, key }: ReplayedWrite): readonly PreparedField[] {
  const fields = [mark, new PreparedField(headerNames.sequence, String(sequence))];
  return /^[\x20-\x7e]+$/.test(key) ? [...fields, new PreparedField(headerNames.key, key)] : fields;
}
