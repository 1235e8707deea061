/**
 * The logs and blobs as a proxy reads them: committed records by their republished subjects, the rest by direct get. No
 * consumer is ever created. The bytes that it returns are not verified.
 */

import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import {
  blobChunkBytesMax,
  blobChunksHeader,
  blobStream,
  blobSubject,
  freshnessSubject,
  ingestSubject,
  type LogName,
  logNames,
  prepareOrderSubject,
  streamOf,
} from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus, BusSubscription } from "../../runtime/bus.js";

/** The source of a record: one of the logs, the freshness statements, or the orders to prepare a revision. */
export type RecordOrigin = LogName | "freshness" | "prepare-order";

export interface RevisionSource {
  readonly connected: boolean;
  onStatus(listener: (connected: boolean) => void): () => void;
  /**
   * Calls `receive` for every record committed from now on, in order. Calls `missed` when records were dropped because
   * they came too fast; the heads must be read then. Ends when `signal` aborts.
   */
  follow(
    receive: (origin: RecordOrigin, bytes: Uint8Array) => void,
    missed: () => void,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Returns the log's last record that `accept` takes, looking at the last 64 at most. undefined: there is none. Fails
   * with `unavailable`.
   */
  readHead(log: LogName, accept: (bytes: Uint8Array) => boolean): Promise<Uint8Array | undefined>;
  /**
   * Returns the records stored under this number, epoch or sequence, oldest first, at most 16. Fails with
   * `unavailable`.
   */
  readAt(log: LogName, key: number): Promise<readonly Uint8Array[]>;
  /**
   * Returns the bytes stored under a digest, joined from their chunks. Their size is checked before they are read.
   * Fails with `unavailable` or `limit`.
   */
  readBlob(digest: Digest, bytesMax: number): Promise<Uint8Array | undefined>;
}

const queueMax = 1024;
const walkBackMax = 64;
const sameKeyMax = 16;
const attemptsMax = 2;

/** Reads through `bus`. */
export function createRevisionSource(bus: Bus): RevisionSource {
  return {
    get connected() {
      return bus.connected;
    },
    onStatus: (listener) => bus.onStatus(({ connected }) => listener(connected)),
    follow: (receive, missed, signal) => follow(bus, receive, missed, signal),
    readHead: (log, accept) => readHead(bus, log, accept),
    readAt: (log, key) => readAt(bus, log, key),
    readBlob: (digest, bytesMax) => readBlob(bus, digest, bytesMax),
  };
}

async function follow(
  bus: Bus,
  receive: (origin: RecordOrigin, bytes: Uint8Array) => void,
  missed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const subscription: BusSubscription = bus.subscribe("ashlar.read.>", { queueMax });
  const off = onAbort(signal, () => subscription.close());
  let dropped = 0;
  for await (const message of subscription) {
    if (signal.aborted) break;
    if (subscription.dropped > dropped) {
      dropped = subscription.dropped;
      missed();
    }
    const origin = originOf(message.subject);
    if (origin !== undefined) receive(origin, message.data);
  }
  off();
  subscription.close();
}

function originOf(subject: string): RecordOrigin | undefined {
  if (subject === freshnessSubject) return "freshness";
  if (subject === prepareOrderSubject) return "prepare-order";
  return logNames.find((log) => subject.startsWith(`ashlar.read.${log}.`));
}

async function readHead(
  bus: Bus,
  log: LogName,
  accept: (bytes: Uint8Array) => boolean,
): Promise<Uint8Array | undefined> {
  const anyKey = `${ingestSubject(log, 0).slice(0, -1)}*`;
  let message = await bus.directGet(streamOf[log], { lastOf: anyKey });
  for (let walked = 0; message !== undefined && walked < walkBackMax; walked += 1) {
    if (accept(message.data)) return message.data;
    if (message.sequence <= 1) return undefined;
    message = await bus.directGet(streamOf[log], { sequence: message.sequence - 1 });
  }
  return undefined;
}

async function readAt(bus: Bus, log: LogName, key: number): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = [];
  let from = 1;
  while (found.length < sameKeyMax) {
    const message = await bus.directGet(streamOf[log], { nextOf: ingestSubject(log, key), from });
    if (message === undefined) break;
    found.push(message.data);
    from = message.sequence + 1;
  }
  return found;
}

async function readBlob(bus: Bus, digest: Digest, bytesMax: number): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array | undefined;
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    bytes = await readChunks(bus, digest, bytesMax);
    if (bytes === undefined || digestOf(bytes) === digest) return bytes;
  }
  return bytes; // damaged: its parser reports it
}

async function readChunks(bus: Bus, digest: Digest, bytesMax: number): Promise<Uint8Array | undefined> {
  const first = await bus.directGet(blobStream, { lastOf: blobSubject(digest, 0) });
  if (first === undefined) return undefined;
  const count = Number(first.header(blobChunksHeader) ?? "1");
  const countMax = Math.ceil(bytesMax / blobChunkBytesMax);
  if (!Number.isSafeInteger(count) || count < 1 || count > countMax)
    throw new AshlarError("limit", `blob ${digest}: ${count} chunks, at most ${countMax} are read`);
  const chunks = [first.data];
  for (let chunk = 1; chunk < count; chunk += 1) {
    const message = await bus.directGet(blobStream, { lastOf: blobSubject(digest, chunk) });
    if (message === undefined) return undefined;
    chunks.push(message.data);
  }
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (size > bytesMax) throw new AshlarError("limit", `blob ${digest}: ${size} bytes, at most ${bytesMax} are read`);
  return count === 1 ? first.data : new Uint8Array(Buffer.concat(chunks));
}
