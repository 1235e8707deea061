/** An event as readers receive it: the entry of a write with the record that settled it. */
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import type { JournalEntry } from "../../core/wire/journal/entry.js";
import type { Field } from "../../core/wire/journal/fields.js";
import { splitFrames } from "../../core/wire/journal/grpc-frames.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import type { JournalResolution } from "../../core/wire/journal/resolution.js";
import type { JournalEvent } from "../../proto/gen/ashlar/v1/feed.js";

/** The record that settled a write; `position` is the sequence of that record. */
export type Settlement = { readonly position: number } & (
  | { readonly outcome: JournalOutcome }
  | { readonly resolution: JournalResolution }
);

/** The most bytes to which a message is unpacked; a larger one is sent packed. */
const unpackedBytesMax = 1024 * 1024;
/**
 * The most bytes to which all messages of an event are unpacked, because an event must fit into the 4 MiB that gRPC
 * clients accept.
 */
const allUnpackedBytesMax = 3 * 1024 * 1024;
const unpackers = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;

interface Messages {
  readonly messages: Buffer[];
  /** The compression of the messages; "": none. */
  readonly encoding: string;
}

/** Returns whether readers get an event, which they do if the application may have applied the write. */
export function isEvent(settlement: Settlement): boolean {
  return "outcome" in settlement ? !settlement.outcome.notForwarded : settlement.resolution.outcome === "applied";
}

/** Builds the event. `framed`: the request's messages with gRPC's framing. */
export async function eventOf(
  entry: JournalEntry,
  sequence: number,
  settlement: Settlement,
  framed: Uint8Array,
): Promise<Omit<JournalEvent, "_unknownFields">> {
  const { timeMs, caller, user, method, key, order, revision, traceId } = entry;
  const request = await unpack(framed, entry.fields);
  const about = {
    ...{ sequence, position: settlement.position, timeMs, caller, user, method, key, order, revision, traceId },
    request: request.messages,
    requestEncoding: request.encoding,
    withheld: entry.private !== undefined || ("outcome" in settlement && settlement.outcome.private !== undefined),
  };
  if ("resolution" in settlement) {
    const { code, message } = settlement.resolution;
    return { ...about, code, message, response: [], responseEncoding: "", responseKept: false, resolved: true };
  }
  const { code, head, trailers, response: kept } = settlement.outcome;
  const response = await unpack(kept ?? new Uint8Array(), head);
  return {
    ...about,
    ...{ code, message: decodedMessage(trailers) },
    ...{ response: response.messages, responseEncoding: response.encoding },
    ...{ responseKept: kept !== undefined, resolved: false },
  };
}

async function unpack(framed: Uint8Array, fields: readonly Field[]): Promise<Messages> {
  const frames = splitFrames(framed);
  if (frames === undefined) return { messages: [Buffer.from(framed)], encoding: "framed" };
  const encoding = textOf(fields, "grpc-encoding") ?? "identity";
  const packed = frames.map(({ bytes }) => Buffer.from(bytes));
  if (!frames.some(({ isCompressed }) => isCompressed)) return { messages: packed, encoding: "" };
  if (encoding !== "gzip" && encoding !== "deflate") return { messages: packed, encoding };
  try {
    const options = { maxOutputLength: unpackedBytesMax };
    const unpacked: Buffer[] = [];
    let bytes = 0;
    for (const [at, { isCompressed }] of frames.entries()) {
      const own = packed[at] ?? Buffer.alloc(0);
      const message = isCompressed ? await unpackers[encoding](own, options) : own;
      bytes += message.length;
      if (bytes > allUnpackedBytesMax) return { messages: packed, encoding };
      unpacked.push(message);
    }
    return { messages: unpacked, encoding: "" };
  } catch {
    return { messages: packed, encoding };
  }
}

function textOf(fields: readonly Field[], name: string): string | undefined {
  const found = fields.find((field) => field.name === name);
  return found && Buffer.from(found.value).toString("latin1");
}

function decodedMessage(trailers: readonly Field[]): string {
  const text = textOf(trailers, "grpc-message") ?? "";
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
