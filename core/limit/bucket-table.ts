/**
 * A bounded table of token buckets by key. Times are milliseconds of a clock that never goes back.
 * A new key in a full table replaces the key that was used longest ago and starts with what that key had left, so
 * cycling through keys never creates tokens. In any time t at most `keysMax` x (burst + rate x t) tokens pass, however
 * many keys there are, and each key in use passes burst + rate x t.
 */
const none = -1;
const slotsAtFirst = 16;

export class BucketTable {
  readonly #slots = new Map<string, number>();
  #keysMax: number;
  #tokensPerMs: number;
  #burst: number;
  /** Arrays that are indexed by slot. */
  #keys: string[] = [];
  #levels = new Float64Array(slotsAtFirst);
  #stamps = new Float64Array(slotsAtFirst);
  /** A linked list of slots, from the one used last to the one used longest ago. */
  #newer = new Int32Array(slotsAtFirst);
  #older = new Int32Array(slotsAtFirst);
  #newest = none;
  #oldest = none;

  constructor(tokensPerMs: number, burst: number, keysMax: number) {
    this.#tokensPerMs = tokensPerMs;
    this.#burst = burst;
    this.#keysMax = Math.max(1, keysMax);
  }

  /** The number of keys in the table. */
  get size(): number {
    return this.#slots.size;
  }

  /** Sets the most keys that the table holds, and removes the keys that were used longest ago beyond it. */
  setKeysMax(keysMax: number): void {
    this.#keysMax = Math.max(1, keysMax);
    if (this.#slots.size <= this.#keysMax) return;
    const kept: { key: string; level: number; stamp: number }[] = [];
    for (let slot = this.#newest; slot !== none && kept.length < this.#keysMax; slot = this.#older[slot] as number)
      kept.push({ key: this.#keys[slot] as string, level: this.levelOf(slot), stamp: this.#stamps[slot] as number });
    this.#clear();
    for (const { key, level, stamp } of kept.reverse()) {
      const slot = this.#add(key);
      this.#levels[slot] = level;
      this.#stamps[slot] = stamp;
    }
  }

  /**
   * Returns the slot of `key`, refilled up to now, and marks it as used last. The slot is valid until the next call.
   */
  touch(key: string, nowMs: number): number {
    let slot = this.#slots.get(key) ?? none;
    if (slot === none) slot = this.#make(key, nowMs);
    else {
      this.#refill(slot, nowMs);
      if (slot !== this.#newest) {
        this.#unlink(slot);
        this.#link(slot);
      }
    }
    return slot;
  }

  levelOf(slot: number): number {
    return this.#levels[slot] as number;
  }

  take(slot: number, tokens: number): void {
    this.#levels[slot] = (this.#levels[slot] as number) - tokens;
  }

  /** Returns the milliseconds until the slot has `tokens` if nothing is taken meanwhile; 0: it has them now. */
  waitMs(slot: number, tokens: number): number {
    const missing = tokens - (this.#levels[slot] as number);
    return missing <= 0 ? 0 : missing / this.#tokensPerMs;
  }

  #refill(slot: number, nowMs: number): void {
    const elapsedMs = nowMs - (this.#stamps[slot] as number);
    if (elapsedMs <= 0) return;
    this.#stamps[slot] = nowMs;
    const level = (this.#levels[slot] as number) + elapsedMs * this.#tokensPerMs;
    this.#levels[slot] = level < this.#burst ? level : this.#burst;
  }

  #make(key: string, nowMs: number): number {
    if (this.#slots.size < this.#keysMax) {
      const slot = this.#add(key);
      this.#levels[slot] = this.#burst;
      this.#stamps[slot] = nowMs;
      return slot;
    }
    const slot = this.#oldest;
    this.#refill(slot, nowMs);
    this.#slots.delete(this.#keys[slot] as string);
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    this.#unlink(slot);
    this.#link(slot);
    return slot;
  }

  #add(key: string): number {
    const slot = this.#keys.length;
    if (slot === this.#levels.length) this.#grow();
    this.#keys.push(key);
    this.#slots.set(key, slot);
    this.#link(slot);
    return slot;
  }

  #grow(): void {
    const size = Math.min(this.#keysMax, this.#levels.length * 2);
    const grown = <Numbers extends Float64Array | Int32Array>(fresh: Numbers, old: Numbers): Numbers => {
      fresh.set(old);
      return fresh;
    };
    this.#levels = grown(new Float64Array(size), this.#levels);
    this.#stamps = grown(new Float64Array(size), this.#stamps);
    this.#newer = grown(new Int32Array(size), this.#newer);
    this.#older = grown(new Int32Array(size), this.#older);
  }

  #clear(): void {
    this.#slots.clear();
    this.#keys = [];
    this.#newest = none;
    this.#oldest = none;
  }

  #link(slot: number): void {
    this.#newer[slot] = none;
    this.#older[slot] = this.#newest;
    if (this.#newest !== none) this.#newer[this.#newest] = slot;
    this.#newest = slot;
    if (this.#oldest === none) this.#oldest = slot;
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot] as number;
    const older = this.#older[slot] as number;
    if (newer === none) this.#newest = older;
    else this.#older[newer] = older;
    if (older === none) this.#oldest = newer;
    else this.#newer[older] = newer;
  }
}
