/** The bounded table of the keys of a shared limit. Calls find a key by its text, reports of others by its digest. */
import { createHash } from "node:crypto";

export interface PeerDemand {
  /** True for a worker of the same proxy, false for another proxy. */
  readonly isWorker: boolean;
  demand: number;
  released: number;
  heardMs: number;
}

/** A time before all others on the monotonic clock that this file uses. */
const never = Number.NEGATIVE_INFINITY;

export interface SharedEntry {
  readonly slot: number;
  readonly digest: string;
  /** undefined if only others have reported the key. */
  key: string | undefined;
  level: number;
  stampMs: number;
  /** This process's share of rate and burst, from 0 to 1. */
  share: number;
  /**
   * Demand in tokens a millisecond: the average, the value last reported to the others, and the value that counts in
   * the division.
   */
  asked: number;
  /** Tokens a millisecond: averaged, what the others were told last, and what counts here. */
  demand: number;
  told: number;
  counted: number;
  refusedMs: number;
  /** The cost of the last refused call, in tokens: the bucket may save up for it. */
  wanted: number;
  released: number;
  releasedMs: number;
  /** The tokens that others released recently, and how many of them were taken over. */
  offered: number;
  takenOver: number;
  offeredMs: number;
  /** The tokens that may still be taken over from others; it is refilled at the limit's rate. */
  credit: number;
  creditMs: number;
  readonly peers: Map<string, PeerDemand>;
}

/** Returns the entry of a key that nobody has asked for yet. */
export function newEntry(
  slot: number,
  digest: string,
  { share, level, credit }: Pick<SharedEntry, "share" | "level" | "credit">,
  nowMs: number,
): SharedEntry {
  return {
    slot,
    digest,
    key: undefined,
    level,
    stampMs: nowMs,
    share,
    asked: 0,
    demand: 0,
    told: 0,
    counted: 0,
    refusedMs: never,
    wanted: 0,
    released: 0,
    releasedMs: never,
    offered: 0,
    takenOver: 0,
    offeredMs: never,
    credit,
    creditMs: nowMs,
    peers: new Map<string, PeerDemand>(),
  };
}

/** Returns the demands of this proxy's other workers, and those of other proxies. */
export function demandsOf({ peers }: SharedEntry): { readonly siblings: number[]; readonly others: number[] } {
  const demands = { siblings: [] as number[], others: [] as number[] };
  for (const { isWorker, demand } of peers.values()) (isWorker ? demands.siblings : demands.others).push(demand);
  return demands;
}

const heardKeysMax = 1024;

/** Returns the digest by which others know a key or a limit's definition. */
export function limitDigest(text: string): string {
  return createHash("sha256").update(text).digest().subarray(0, 16).toString("base64url");
}

/** Creates the entry of a key; `evicted`: the entry that it replaces. */
export type MakeEntry = (slot: number, digest: string, evicted: SharedEntry | undefined) => SharedEntry;

export class SharedTable {
  readonly #make: MakeEntry;
  readonly #gone: (entry: SharedEntry) => void;
  readonly #entries: SharedEntry[] = [];
  readonly #free: number[] = [];
  readonly #byKey = new Map<string, SharedEntry>();
  /** Sorted from the entry used longest ago to the one used last. */
  readonly #byDigest = new Map<string, SharedEntry>();
  #newest: SharedEntry | undefined;
  #keysMax: number;
  /** The number of entries that only others have reported. */
  #heard = 0;

  /** `gone` is called for each entry that is removed. */
  constructor(keysMax: number, make: MakeEntry, gone: (entry: SharedEntry) => void) {
    this.#keysMax = Math.max(1, keysMax);
    this.#make = make;
    this.#gone = gone;
  }

  get size(): number {
    return this.#byDigest.size;
  }

  get all(): Iterable<SharedEntry> {
    return this.#byDigest.values();
  }

  setKeysMax(keysMax: number): void {
    this.#keysMax = Math.max(1, keysMax);
    while (this.#byDigest.size > this.#keysMax) this.#evict();
  }

  at(slot: number): SharedEntry {
    return this.#entries[slot] as SharedEntry;
  }

  /** Returns the entry of a key that a call asks for here, and marks it as used last. */
  use(key: string): SharedEntry {
    const entry = this.#byKey.get(key) ?? this.#begin(key);
    if (entry !== this.#newest) this.#moveLast(entry);
    return entry;
  }

  /**
   * Returns the entry of a key that others report, or undefined if it is unknown here and others have reported too many
   * keys.
   */
  hear(digest: string): SharedEntry | undefined {
    const known = this.#byDigest.get(digest);
    if (known !== undefined) {
      this.#moveLast(known);
      return known;
    }
    if (this.#heard >= Math.min(heardKeysMax, this.#keysMax / 2)) return undefined;
    this.#heard++;
    return this.#add(digest);
  }

  remove(entry: SharedEntry): void {
    if (entry.key === undefined) this.#heard--;
    else this.#byKey.delete(entry.key);
    this.#byDigest.delete(entry.digest);
    this.#free.push(entry.slot);
    if (this.#newest === entry) this.#newest = undefined;
    this.#gone(entry);
  }

  #begin(key: string): SharedEntry {
    const digest = limitDigest(key);
    const heard = this.#byDigest.get(digest);
    if (heard !== undefined) this.#heard--;
    const entry = heard ?? this.#add(digest);
    entry.key = key;
    this.#byKey.set(key, entry);
    return entry;
  }

  #add(digest: string): SharedEntry {
    const evicted = this.#byDigest.size >= this.#keysMax ? this.#evict() : undefined;
    const slot = this.#free.pop() ?? this.#entries.length;
    const entry = this.#make(slot, digest, evicted);
    this.#entries[slot] = entry;
    this.#byDigest.set(digest, entry);
    this.#newest = entry;
    return entry;
  }

  #evict(): SharedEntry | undefined {
    const [oldest] = this.#byDigest.values();
    if (oldest !== undefined) this.remove(oldest);
    return oldest;
  }

  #moveLast(entry: SharedEntry): void {
    this.#byDigest.delete(entry.digest);
    this.#byDigest.set(entry.digest, entry);
    this.#newest = entry;
  }
}
