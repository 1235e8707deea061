/** An event as readers get it: the entry of a write with what settled it. */
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import type { JournalEntry } from "../../core/wire/journal/entry.js";
import type { Field } from "../../core/wire/journal/fields.js";
import { splitFrames } from "../../core/wire/journal/grpc-frames.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import type { JournalResolution } from "../../core/wire/journal/resolution.js";
import type { JournalEvent } from "../../proto/gen/ashlar/v1/feed.js";

/** What settled a write: `position` is where that is stored. */
export type Settlement = { readonly position: number } & (
  | { readonly outcome: JournalOutcome }
  | { readonly resolution: JournalResolution }
);

/** A message that unpacks to more is handed on as it is. */
const unpackedBytesMax = 1024 * 1024;
const unpackers = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;

interface Messages {
  readonly messages: Buffer[];
  /** "": they are plain. */
  readonly encoding: string;
}

/** Whether readers get an event: the application may have applied the write. */
export function isEvent(settlement: Settlement): boolean {
  return "outcome" in settlement ? !settlement.outcome.notForwarded : settlement.resolution.outcome === "applied";
}

export async function eventOf(
  entry: JournalEntry,
  sequence: number,
  settlement: Settlement,
): Promise<Omit<JournalEvent, "_unknownFields">> {
  const { timeMs, caller, user, method, key, order, revision, traceId } = entry;
  const request = await unpack(entry.request, entry.fields);
  const about = {
    ...{ sequence, position: settlement.position, timeMs, caller, user, method, key, order, revision, traceId },
    request: request.messages,
    requestEncoding: request.encoding,
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
    const unpacked = frames.map(({ isCompressed }, at) => {
      const bytes = packed[at] ?? Buffer.alloc(0);
      return isCompressed ? unpackers[encoding](bytes, options) : bytes;
    });
    return { messages: await Promise.all(unpacked), encoding: "" };
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
