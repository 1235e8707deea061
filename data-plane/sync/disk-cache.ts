/**
 * What a proxy keeps on disk to start without NATS and control plane: the floor (I2), the last good activation, the
 * revisions that it holds prepared, and the services that it calls. Everything is verified again on load. Content that
 * is damaged, unsigned or of another mesh is logged in one line and ignored.
 */
import type { Digest } from "../../core/digest.js";
import { digestOf, parseDigest } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import type { Activation, PreparedRevision, Signed, Trust } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import { keySetOf, verifyActivation, verifyRevision, verifyTrust } from "../../core/wire/records.js";
import type { Logger } from "../../runtime/log.js";
import type { CalledServices } from "./called-services.js";
import type { HeldRevision } from "./held-revision.js";
import type { RevisionReader } from "./prepare.js";
import type { SlotFile } from "./slot-file.js";
import { slotContentBytesMax } from "./slots.js";
import { encodeStateFile, parseObject, parseStateFile, stringsOf } from "./state-file.js";
import type { StateFolder } from "./state-folder.js";

/** The state that was read from disk and verified. */
export interface LoadedState {
  readonly activations: readonly Signed<Activation>[];
  readonly trust: readonly Signed<Trust>[];
  /** The keys that verify what is on disk: those of the newest trust record, and those that it dropped lately. */
  readonly keys: KeySet;
  /** Whether these heads are the saved floor. Otherwise the floor must be saved again. */
  readonly floorWhole: boolean;
  readonly lastGood: Signed<Activation> | undefined;
  readonly lagMs: number;
  /** The revisions that were held prepared, the last active ones first. */
  readonly revisions: readonly PreparedRevision[];
  readonly called: CalledServices;
}

export interface LastGood {
  readonly activation: Signed<Activation>;
  readonly lagMs: number;
  readonly revisions: readonly PreparedRevision[];
}

const headsMax = 4;
const revisionsMax = 16;
const calledMax = 1000;
/** How many older trust records are kept because a later record dropped a key that they name. */
const earlierMax = 4;
const blobName = (digest: Digest): string => `blob-${digest}`;

export class DiskCache {
  readonly #folder: StateFolder;
  readonly #mesh: string;
  readonly #log: Logger;
  /** The newest trust record that is on disk. */
  #trust: Signed<Trust> | undefined;
  #earlier: readonly Signed<Trust>[] = [];
  /** The file with the heads of the activations; no older than the floor's file. undefined: it cannot be opened. */
  #slots: SlotFile | undefined;
  /** The trust records that the floor's file contains. */
  #trustOnDisk = "";

  constructor(deps: { readonly folder: StateFolder; readonly log: Logger }, mesh: string) {
    this.#folder = deps.folder;
    this.#log = deps.log;
    this.#mesh = mesh;
  }

  /**
   * Writes the heads to disk; they are safe when it resolves. Only one call at a time. Fails with `unavailable`. What
   * changes with every activation has a file that is written in place, and the higher content of the two files counts
   * (decision 0019).
   */
  async saveFloor(activations: readonly Signed<Activation>[], trust: readonly Signed<Trust>[]): Promise<void> {
    await this.#keepDropped(trust);
    const content = { activations: activations.map(textOf) };
    if (trust.length > 0 && namesOf(trust) === this.#trustOnDisk && (await this.#saveInPlace(content))) return;
    await this.#folder.write("floor", encodeStateFile({ ...content, trust: trust.map(textOf) }), true);
    this.#trustOnDisk = namesOf(trust);
  }

  /** Returns false if the content does not fit or cannot be written there. */
  async #saveInPlace(content: object): Promise<boolean> {
    const bytes = Buffer.from(JSON.stringify(content), "latin1");
    if (this.#slots === undefined || bytes.length > slotContentBytesMax) return false;
    try {
      await this.#slots.write(bytes);
      return true;
    } catch (error) {
      this.#log.warn(`state on disk: ${messageOf(error)}; the whole floor is written instead`);
      return false;
    }
  }

  /**
   * Keeps trust records that name a key which the new record drops. What is on disk may still be signed by that key
   * until its successor has signed new records; a restart in between must lose neither floor nor policy.
   */
  async #keepDropped([next, ...rivals]: readonly Signed<Trust>[]): Promise<void> {
    if (next === undefined || rivals.length > 0 || next.digest === this.#trust?.digest) return;
    const before = this.#trust;
    const kept = new Set(next.body.signingKeys.map(({ kid }) => kid));
    if (before?.body.signingKeys.some(({ kid }) => !kept.has(kid))) {
      const earlier = [before, ...this.#earlier].slice(0, earlierMax);
      await this.#folder.write("earlier-trust", encodeStateFile({ trust: earlier.map(textOf) }), true);
      this.#earlier = earlier;
    }
    this.#trust = next;
  }

  /** Writes the parts of a held revision to disk. Fails with `unavailable`. */
  async saveBlobs(blobs: Iterable<readonly [Digest, Uint8Array]>): Promise<void> {
    const present = new Set(await this.#folder.list());
    for (const [digest, bytes] of blobs) {
      if (!present.has(blobName(digest))) await this.#folder.write(blobName(digest), bytes);
    }
  }

  /** Writes the state that the next start begins with. Fails with `unavailable`. */
  async saveLastGood(lastGood: LastGood): Promise<void> {
    const { activation, lagMs, revisions } = lastGood;
    const refs = revisions.slice(0, revisionsMax).map(({ number, digest }) => ({ number, digest }));
    await this.#folder.write("last-good", encodeStateFile({ activation: textOf(activation), lagMs, revisions: refs }));
  }

  async saveCalled(called: CalledServices): Promise<void> {
    await this.#folder.write("called", encodeStateFile({ called: [...called].slice(-calledMax) }));
  }

  /** Removes the parts of revisions that are no longer held. */
  async removeUnused(held: Iterable<HeldRevision>): Promise<void> {
    const used = new Set<string>();
    for (const { revision, list, units } of held) {
      for (const digest of [revision.digest, list.digest]) used.add(blobName(digest));
      for (const unit of units.values()) used.add(blobName(unit.digest));
    }
    for (const name of await this.#folder.list()) {
      if (name.startsWith("blob-") && !used.has(name)) await this.#folder.remove(name);
    }
  }

  /** Reads and verifies the state on disk. `known`: the trust record given at join, in case the disk has none. */
  async load(rootKeys: KeySet, known: Signed<Trust> | undefined): Promise<LoadedState> {
    const floor = await this.#read("floor");
    const trustTexts = stringsOf(floor.trust, headsMax);
    const trust = this.#keepValid("trust record", trustTexts, (bytes) => verifyTrust(bytes, this.#mesh, rootKeys));
    const newest = [...trust, ...(known ? [known] : [])].sort((a, b) => b.body.sequence - a.body.sequence)[0];
    this.#trust = newest;
    this.#earlier = this.#keepValid(
      "earlier trust record",
      stringsOf((await this.#read("earlier-trust")).trust, earlierMax),
      (bytes) => verifyTrust(bytes, this.#mesh, rootKeys),
    );
    const keys: KeySet = new Map(
      [...this.#earlier, ...(newest ? [newest] : [])].flatMap(({ body }) => [...keySetOf(body)]),
    );
    const activation = (bytes: Uint8Array): Signed<Activation> => verifyActivation(bytes, this.#mesh, keys);
    const inPlace = await this.#readInPlace();
    const texts = new Set([inPlace, floor].flatMap((part) => stringsOf(part.activations, headsMax)));
    const seen = this.#keepValid("activation", [...texts], activation);

    const last = await this.#read("last-good");
    const [lastGood] = this.#keepValid("last good activation", stringsOf([last.activation], 1), activation);
    // a lost floor was at least as high as the evaluated epoch
    const floorLost = lastGood !== undefined && seen.every((one) => one.body.epoch < lastGood.body.epoch);
    if (trust.length === trustTexts.length) this.#trustOnDisk = namesOf(sameKey(trust, (one) => one.body.sequence));
    return {
      activations: floorLost ? [lastGood] : sameKey(seen, (one) => one.body.epoch),
      trust: sameKey(trust, (one) => one.body.sequence),
      keys,
      floorWhole: !floorLost && seen.length > 0 && trust.length > 0,
      lastGood,
      lagMs: typeof last.lagMs === "number" && last.lagMs >= 0 ? last.lagMs : 0,
      revisions: parseRefs(last.revisions),
      called: parseCalled((await this.#read("called")).called),
    };
  }

  /** Returns a reader of revision parts on disk. Damaged parts count as missing. */
  reader(keys: KeySet): RevisionReader {
    const blob = async (digest: Digest): Promise<Uint8Array | undefined> => {
      const bytes = await this.#folder.read(blobName(digest));
      if (bytes !== undefined && digestOf(bytes) !== digest) await this.#folder.remove(blobName(digest));
      return bytes;
    };
    return {
      blob,
      revision: async ({ digest }) => {
        const bytes = await blob(digest);
        if (bytes === undefined) throw new AshlarError("not_found", `its record ${digest} is not on disk`);
        if (digestOf(bytes) !== digest)
          throw new AshlarError("unauthenticated", `its record does not have the digest ${digest}`);
        return verifyRevision(bytes, this.#mesh, keys);
      },
    };
  }

  /** Opens the file that is written in place and reads it; a write that was torn leaves what was there before. */
  async #readInPlace(): Promise<Readonly<Record<string, unknown>>> {
    try {
      this.#slots ??= await this.#folder.openSlots("floor-epoch");
      const { newest } = this.#slots;
      return newest === undefined ? {} : parseObject(newest);
    } catch (error) {
      this.#log.error(`state on disk: floor-epoch is ignored: ${messageOf(error)}`);
      return {};
    }
  }

  async close(): Promise<void> {
    await this.#slots?.close();
    this.#slots = undefined;
  }

  async #read(name: string): Promise<Readonly<Record<string, unknown>>> {
    try {
      const bytes = await this.#folder.read(name);
      return bytes === undefined ? {} : parseStateFile(bytes);
    } catch (error) {
      this.#log.error(`state on disk: ${name} is ignored: ${messageOf(error)}`);
      return {};
    }
  }

  #keepValid<Body>(
    what: string,
    texts: readonly string[],
    verify: (bytes: Uint8Array) => Signed<Body>,
  ): Signed<Body>[] {
    const valid: Signed<Body>[] = [];
    for (const text of texts) {
      try {
        valid.push(verify(new Uint8Array(Buffer.from(text, "latin1"))));
      } catch (error) {
        this.#log.error(`state on disk: the ${what} is ignored: ${messageOf(error)}`);
      }
    }
    return valid;
  }
}

const namesOf = (records: readonly Signed<unknown>[]): string =>
  records
    .map((record) => record.digest)
    .sort()
    .join();
const textOf = (record: Signed<unknown>): string => Buffer.from(record.bytes).toString("latin1");

/** Returns the records of the highest key. More than one record means that equivocation was seen. */
function sameKey<Body>(records: readonly Signed<Body>[], keyOf: (record: Signed<Body>) => number): Signed<Body>[] {
  const highest = Math.max(0, ...records.map(keyOf));
  return records.filter((record) => keyOf(record) === highest);
}

function parseRefs(value: unknown): readonly PreparedRevision[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, revisionsMax).flatMap((item: unknown) => {
    const { number, digest } = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
    if (!Number.isSafeInteger(number) || typeof digest !== "string") return [];
    return [{ number: Number(number), digest: parseDigest(digest) }];
  });
}

function parseCalled(value: unknown): CalledServices {
  if (!Array.isArray(value)) return new Map();
  return new Map(
    value.slice(0, calledMax).flatMap((item: unknown): [string, number][] => {
      const [service, atMs]: unknown[] = Array.isArray(item) ? item : [];
      return typeof service === "string" && isLabel(service) && typeof atMs === "number" ? [[service, atMs]] : [];
    }),
  );
}
