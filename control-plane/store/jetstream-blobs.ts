/** Units and snapshot lists: a write-once stream, and this control plane's own copy. */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { blobChunkBytesMax, blobChunksHeader, blobStream, blobSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { BlobFolder } from "./file-copy.js";
import type { BlobStore } from "./ledger.js";

const blobBytesMax = 64 * 1024 * 1024;
const chunksMax = blobBytesMax / blobChunkBytesMax;
const healedAtOnce = 16;

export class JetStreamBlobs implements BlobStore {
  readonly #bus: Bus;
  readonly #copy: BlobFolder;

  constructor(bus: Bus, copy: BlobFolder) {
    this.#bus = bus;
    this.#copy = copy;
  }

  async put(bytes: Uint8Array): Promise<Digest> {
    if (bytes.length > blobBytesMax) {
      throw new AshlarError("limit", `a blob of ${bytes.length} bytes, at most ${blobBytesMax} are stored`);
    }
    const digest = await this.#copy.put(bytes);
    await this.#send(digest, bytes);
    return digest;
  }

  /**
   * Sends the chunks. Chunk 0, which states their number, is sent last, so that a reader who finds it finds the others.
   */
  async #send(digest: Digest, bytes: Uint8Array): Promise<void> {
    const chunks = Math.max(1, Math.ceil(bytes.length / blobChunkBytesMax));
    for (let chunk = chunks - 1; chunk >= 0; chunk -= 1) {
      const part = bytes.slice(chunk * blobChunkBytesMax, (chunk + 1) * blobChunkBytesMax);
      const headers = chunk === 0 ? { [blobChunksHeader]: String(chunks) } : {};
      try {
        await this.#bus.append(blobSubject(digest, chunk), part, { headers });
      } catch (error) {
        if (!isAshlarError(error, "exists")) throw error;
        await this.#requireSame(digest, chunk, part);
      }
    }
  }

  async #requireSame(digest: Digest, chunk: number, part: Uint8Array): Promise<void> {
    const stored = await this.#bus.leaderGet(blobStream, { lastOf: blobSubject(digest, chunk) });
    if (stored !== undefined && Buffer.compare(stored.data, part) === 0) return;
    throw new AshlarError("invalid_record", `the stream holds something else under ${digest}, chunk ${chunk}`);
  }

  has(digest: Digest): boolean {
    return this.#copy.has(digest);
  }

  async get(digest: Digest): Promise<Uint8Array | undefined> {
    const own = await this.#copy.get(digest);
    if (own !== undefined) return own;
    const bytes = await this.#fetch(digest);
    if (bytes !== undefined) await this.#copy.put(bytes);
    return bytes;
  }

  async #fetch(digest: Digest): Promise<Uint8Array | undefined> {
    const first = await this.#bus.leaderGet(blobStream, { lastOf: blobSubject(digest, 0) });
    if (first === undefined) return undefined;
    const chunks = Number(first.header(blobChunksHeader));
    if (!Number.isSafeInteger(chunks) || chunks < 1 || chunks > chunksMax) return undefined;
    const parts = [first.data];
    for (let chunk = 1; chunk < chunks; chunk += 1) {
      const next = await this.#bus.leaderGet(blobStream, { lastOf: blobSubject(digest, chunk) });
      if (next === undefined) return undefined;
      parts.push(next.data);
    }
    const bytes = new Uint8Array(Buffer.concat(parts));
    return digestOf(bytes) === digest ? bytes : undefined;
  }

  /** Stores again what the own copy has and the stream lacks. Returns the number of these blobs. */
  async heal(): Promise<number> {
    const digests = [...(await this.#copy.list())];
    let healed = 0;
    const work = async (): Promise<void> => {
      for (let digest = digests.pop(); digest !== undefined; digest = digests.pop()) {
        if ((await this.#bus.leaderGet(blobStream, { lastOf: blobSubject(digest, 0) })) !== undefined) continue;
        const bytes = await this.#copy.get(digest);
        if (bytes === undefined) continue;
        await this.#send(digest, bytes);
        healed += 1;
      }
    };
    await Promise.all(Array.from({ length: healedAtOnce }, work));
    return healed;
  }
}
