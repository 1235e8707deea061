/** Messages of a streamed request, which the journal holds until a closing entry names them. */
import { JournalMessages as MessagesMessage } from "../../../proto/gen/ashlar/v1/journal.js";
import { AshlarError } from "../../errors.js";
import { messagesKey } from "../../journal/journal-key.js";
import { integer } from "../bounds.js";
import { checkWriter, type FleetWriter } from "../fleet.js";
import { decodeStrict, reading } from "../strict.js";
import { streamRecordsMax } from "./entry.js";
import { type Confirmation, journalRecordBytesMax, parseConfirmations, renderConfirmations } from "./fields.js";

export interface JournalMessages extends FleetWriter {
  /** The nonce of the entry that will name this record. */
  readonly stream: Uint8Array;
  readonly number: number;
  /** Complete messages with gRPC's framing. */
  readonly messages: Uint8Array;
  readonly confirms: readonly Confirmation[];
}

const streamBytes = 16;
const what = "journal messages";

export function encodeMessages({ stream, messages, confirms, ...plain }: JournalMessages): Uint8Array {
  return MessagesMessage.encode({
    ...plain,
    stream: Buffer.from(stream),
    messages: Buffer.from(messages),
    confirms: renderConfirmations(confirms),
  }).finish();
}

/**
 * Parses a record whose statement was verified: `writer` signed it, and it is stored under `key`. Without `writer` the
 * result is only a claim. Fails with `invalid_record` or `limit`.
 */
export function parseMessages(bytes: Uint8Array, writer: FleetWriter | undefined, key: string): JournalMessages {
  const message = decodeStrict(MessagesMessage, bytes, what, journalRecordBytesMax);
  return reading(what, () => {
    if (writer !== undefined) checkWriter(message, writer);
    integer("stream.length", message.stream.length, streamBytes, streamBytes);
    if (messagesKey(message.stream) !== key)
      throw new AshlarError("invalid_record", "it is stored under another stream's subject");
    const { service, proxyId, stream, messages } = message;
    const number = integer("number", message.number, 0, streamRecordsMax - 1);
    return { service, proxyId, stream, number, messages, confirms: parseConfirmations(message.confirms) };
  });
}
