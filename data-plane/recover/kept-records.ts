/**
 * The signed records that this proxy has verified, kept on disk. A control plane that lost its logs gets them back
 * (decision 0014). They are written in the background, not on the path of an activation, and the proxy never acts on
 * them.
 */
import { type Digest, parseDigest } from "../../core/digest.js";
import { messageOf } from "../../core/errors.js";
import { type HeldRecord, heldMax, type OfferedLog, offeredLogs } from "../../core/wire/offers.js";
import type { Clock } from "../../runtime/clock.js";
import type { StateFolder } from "../sync/state-folder.js";

/** Keeps on disk the records of the logs that this proxy has seen. */
export interface SeenHeads {
  readonly epoch: number;
  readonly trustSequence: number;
  /** The newest revision that this proxy knows of. */
  readonly revision: number;
  /**
   * The number of kept records that share their number with another one. A control plane may know only one of each
   * pair.
   */
  readonly contested: number;
}

interface Kept extends HeldRecord {
  readonly log: OfferedLog;
  readonly size: number;
}

const writeAfterMs = 1000;
const retryMs = 30_000;
/** The most bytes of one log that are kept; the newest record is kept whatever its size. */
const bytesMax = 8 * 1024 * 1024;
const nameOf = ({ log, key, size, digest }: Kept): string => `record-${log}-${key}-${size}-${digest}`;

export class KeptRecords {
  readonly #folder: StateFolder;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #kept: Map<Digest, Kept>;
  /** How many kept records have a number of a log. A record is noted before its proxy switches, so no list is searched. */
  readonly #counts = new Map<string, number>();
  /** The records that are not on disk yet. */
  readonly #waiting = new Map<Digest, Uint8Array>();
  #writing: Promise<void> | undefined;
  #trouble: string | undefined;
  #contested: number;

  private constructor(folder: StateFolder, clock: Clock, kept: readonly Kept[]) {
    this.#folder = folder;
    this.#clock = clock;
    this.#kept = new Map(kept.map((one) => [one.digest, one]));
    for (const one of this.#kept.values()) this.#count(one, 1);
    this.#contested = this.#kept.size - this.#counts.size;
  }

  /** Opens the kept records in `folder`. Fails with `unavailable`. */
  static async open(folder: StateFolder, clock: Clock): Promise<KeptRecords> {
    return new KeptRecords(folder, clock, (await folder.list()).flatMap(parseName));
  }

  /** Returns why records could not be written, or undefined if they could. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** The number of received records whose number another kept record has. It never decreases. */
  get contested(): number {
    return this.#contested;
  }

  /** Keeps a record whose signature was verified. */
  note(log: OfferedLog, key: number, { digest, bytes }: { readonly digest: Digest; readonly bytes: Uint8Array }): void {
    if (this.#kept.has(digest)) return;
    const kept = { log, key, digest, size: bytes.length };
    this.#kept.set(digest, kept);
    if (this.#count(kept, 1) > 1) this.#contested += 1;
    this.#waiting.set(digest, bytes);
    this.#writing ??= this.#writeSoon();
  }

  /** Returns the kept records of a log, newest first. Records above `seen` were never followed and are left out. */
  held(log: OfferedLog, seen: Omit<SeenHeads, "contested">): readonly HeldRecord[] {
    const chains: Partial<Record<OfferedLog, number>> = { activations: seen.epoch, trust: seen.trustSequence };
    return this.#ofLog(log)
      .filter(({ key }) => key <= (chains[log] ?? key))
      .slice(0, heldMax[log])
      .map(({ key, digest }) => ({ key, digest }));
  }

  /** Returns the bytes of a kept record. undefined: the record is not kept, or is no longer kept. */
  async read(digest: Digest): Promise<Uint8Array | undefined> {
    const kept = this.#kept.get(digest);
    if (kept === undefined) return undefined;
    return this.#waiting.get(digest) ?? (await this.#folder.read(nameOf(kept)));
  }

  /** Writes the remaining records and closes. Never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#writing;
    await this.#write();
  }

  async #writeSoon(): Promise<void> {
    const { signal } = this.#stop;
    await this.#clock.sleep(this.#trouble === undefined ? writeAfterMs : retryMs, signal);
    if (!signal.aborted) await this.#write();
    this.#writing = undefined;
    if (this.#waiting.size > 0 && !signal.aborted) this.#writing = this.#writeSoon();
  }

  async #write(): Promise<void> {
    try {
      for (const log of offeredLogs) await this.#dropOld(log);
      for (const [digest, bytes] of [...this.#waiting]) {
        const kept = this.#kept.get(digest);
        if (kept !== undefined) await this.#folder.write(nameOf(kept), bytes);
        this.#waiting.delete(digest);
      }
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = messageOf(error);
    }
  }

  async #dropOld(log: OfferedLog): Promise<void> {
    let bytes = 0;
    for (const [index, kept] of this.#ofLog(log).entries()) {
      bytes += kept.size;
      if (index === 0 || (index < heldMax[log] && bytes <= bytesMax)) continue;
      this.#kept.delete(kept.digest);
      this.#count(kept, -1);
      if (!this.#waiting.delete(kept.digest)) await this.#folder.remove(nameOf(kept));
    }
  }

  /** Counts a record in or out. Returns how many records with its number are kept then. */
  #count({ log, key }: Kept, change: 1 | -1): number {
    const number = `${log} ${key}`;
    const count = (this.#counts.get(number) ?? 0) + change;
    if (count === 0) this.#counts.delete(number);
    else this.#counts.set(number, count);
    return count;
  }

  #ofLog(log: OfferedLog): Kept[] {
    return [...this.#kept.values()].filter((one) => one.log === log).sort((a, b) => b.key - a.key);
  }
}

function parseName(name: string): Kept[] {
  const [, logName, key, size, digest] = /^record-([a-z]+)-([0-9]{1,15})-([0-9]{1,9})-([0-9a-f]{64})$/.exec(name) ?? [];
  const log = offeredLogs.find((one) => one === logName);
  if (log === undefined || digest === undefined) return [];
  return [{ log, key: Number(key), size: Number(size), digest: parseDigest(digest) }];
}
