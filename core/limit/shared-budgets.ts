/**
 * Token buckets that several proxies, or the workers of one proxy, share without a leader. Each holds a share of the
 * rate and of the burst of every key, reports its demand to the others, and computes its share from the same demands
 * (`fairShare`). A share that shrinks releases its excess tokens to those whose shares grow. Pure: `tick` and `hear`
 * are called from outside.
 */
import type { Limit } from "../kinds/rate-limit/rate-limit.js";
import { fairShareOfWorker, partOfReleased, type Sharers, type ShareSurroundings } from "./fair-share.js";
import { type KeyDemand, type ReportOrigin, reportedKeysMax } from "./limit-report.js";
import type { Budgets } from "./limiter.js";
import { demandsOf, newEntry, type SharedEntry, SharedTable } from "./shared-table.js";

type ShareMode = "shared" | NonNullable<Limit["disconnected"]>;

/** Milliseconds without any report after which a proxy counts as cut off and applies `disconnected`. */
const disconnectedAfterMs = 3000;
const averagedMs = 500;
const hungryMs = 1000;
const releasedKeptMs = 2000;
const closedWaitMs = 1000;
const peersMax = 1024;
/** The most peers for which shares are divided at each report; with more, they are divided at the next tick. */
const dividedAtOnceMax = 16;

export class SharedBudgets implements Budgets {
  readonly #rate: number;
  readonly #burst: number;
  /** The highest cost of a call, in tokens. */
  readonly #dearest: number;
  readonly #disconnected: NonNullable<Limit["disconnected"]>;
  readonly #table: SharedTable;
  /** Entries with demand, here or elsewhere. */
  readonly #active = new Set<SharedEntry>();
  readonly #isOfProxy: boolean;
  #members: number;
  #workers: number;
  #intervalMs = 100;
  #nowMs = 0;
  #tickedMs: number;
  #connectedMs: number;
  #mode: ShareMode = "shared";
  readonly #closed: () => void;

  /** `closed` is called when no call draws on these budgets any more. */
  constructor(limit: Limit, keysMax: number, sharers: Sharers, nowMs: number, closed: () => void = () => {}) {
    this.#closed = closed;
    this.#rate = limit.rate.tokens / limit.rate.periodMs;
    this.#burst = limit.burst;
    this.#dearest = Math.max(1, ...limit.costs.map(({ cost }) => cost));
    this.#disconnected = limit.disconnected ?? "share";
    this.#isOfProxy = limit.scope === "proxy";
    this.#table = new SharedTable(
      keysMax,
      (slot, digest, evicted) => this.#makeEntry(slot, digest, evicted),
      (entry) => this.#active.delete(entry),
    );
    this.#members = this.#isOfProxy ? 1 : Math.max(1, sharers.members);
    this.#workers = Math.max(1, sharers.workers);
    this.#tickedMs = nowMs;
    this.#connectedMs = nowMs;
  }

  get size(): number {
    return this.#table.size;
  }

  setKeysMax(keysMax: number): void {
    this.#table.setKeysMax(keysMax);
  }

  close(): void {
    this.#closed();
  }

  touch(key: string, nowMs: number, tokens: number): number {
    this.#nowMs = nowMs;
    const entry = this.#table.use(key);
    if (entry.asked === 0) this.#active.add(entry);
    entry.asked += tokens;
    this.#refill(entry, nowMs);
    if (entry.level < tokens) {
      entry.refusedMs = nowMs;
      entry.wanted = tokens;
    }
    return entry.slot;
  }

  levelOf(slot: number): number {
    return this.#mode === "closed" ? -1 : this.#table.at(slot).level;
  }

  take(slot: number, tokens: number): void {
    const entry = this.#table.at(slot);
    entry.level -= tokens;
    entry.wanted = 0;
  }

  /** Returns the milliseconds until the slot has `tokens`. A process without a share gets one by the next reports. */
  waitMs(slot: number, tokens: number): number {
    if (this.#mode === "closed") return closedWaitMs;
    const { share, level } = this.#table.at(slot);
    const missing = Math.max(0, tokens - level);
    return share > 0 ? missing / (share * this.#rate) : 2 * this.#intervalMs;
  }

  /** Closes an interval. Returns the demands to report to the others, the highest first; empty: nothing to report. */
  tick(nowMs: number, surroundings: ShareSurroundings): readonly KeyDemand[] {
    const { members, workers, intervalMs } = surroundings;
    const connected = surroundings.connected || this.#isOfProxy; // workers hear of each other without NATS
    const elapsedMs = Math.max(1, nowMs - this.#tickedMs);
    this.#tickedMs = nowMs;
    this.#intervalMs = intervalMs;
    this.#setSharers(this.#isOfProxy ? 1 : Math.max(1, members), Math.max(1, workers), nowMs);
    if (connected) this.#connectedMs = nowMs;
    this.#setMode(nowMs - this.#connectedMs > disconnectedAfterMs ? this.#disconnected : "shared", nowMs);
    const isShared = this.#mode === "shared" ? connected : this.#mode === "full" && this.#workers > 1;
    const isNew = 1 - Math.exp(-elapsedMs / averagedMs);
    const reports: KeyDemand[] = [];
    for (const entry of this.#active) {
      const lately = entry.asked / elapsedMs;
      entry.demand += (lately - entry.demand) * isNew;
      entry.demand = Math.min(entry.demand, this.#likelyMost(entry.asked) / elapsedMs);
      entry.asked = 0;
      if (!isShared) continue; // the others cannot allow for what they do not hear
      this.#forgetPeers(entry, nowMs);
      const isHungry = nowMs - entry.refusedMs < hungryMs;
      const isContested = entry.peers.size > 0;
      if (nowMs - entry.releasedMs > releasedKeptMs) entry.released = 0;
      const isTold = this.#isTold(entry, isHungry, isContested);
      const told = isTold ? Math.min(this.#rate, isHungry ? Math.max(lately, entry.demand) : entry.demand) : 0;
      // A higher demand counts only after the others had time to report theirs; a lower one counts at once, everywhere.
      entry.counted = Math.min(entry.told, told);
      entry.told = told;
      this.#divide(entry, nowMs);
      if (isTold) reports.push({ key: entry.digest, perSecond: entry.told * 1000, released: entry.released });
      else if (!isContested && entry.demand * this.#sharers * 100 < this.#rate) this.#rest(entry);
    }
    reports.sort((a, b) => b.perSecond - a.perSecond);
    return reports.slice(0, reportedKeysMax);
  }

  /** Notes the demands that a peer reported. */
  hear(peer: string, demands: readonly KeyDemand[], nowMs: number, origin: ReportOrigin = "proxy"): void {
    const isWorker = origin === "worker";
    if (this.#mode === "closed" || (!isWorker && (this.#isOfProxy || this.#mode !== "shared"))) return;
    this.#nowMs = nowMs;
    for (const { key: digest, perSecond, released } of demands) {
      const entry = this.#table.hear(digest);
      if (entry === undefined) continue;
      this.#active.add(entry);
      const before = entry.peers.get(peer);
      if (before === undefined && entry.peers.size >= peersMax) continue;
      const gone = before === undefined || released < before.released ? released : released - before.released;
      if (gone > 0) {
        entry.offered += Math.min(gone, this.#burst);
        entry.offeredMs = nowMs;
      }
      entry.peers.set(peer, { isWorker, demand: Math.min(this.#rate, perSecond / 1000), released, heardMs: nowMs });
      if (entry.peers.size <= dividedAtOnceMax) this.#divide(entry, nowMs); // otherwise at the next tick
    }
  }

  // === Shares ===

  #isTold({ demand, released }: SharedEntry, isHungry: boolean, isContested: boolean): boolean {
    if (this.#sharers === 1 && !isContested) return false;
    if (isHungry || demand * this.#sharers * 2 > this.#rate) return true;
    return isContested && (demand * this.#sharers * 100 > this.#rate || released > 0);
  }

  #divide(entry: SharedEntry, nowMs: number): void {
    const { siblings, others } = demandsOf(entry);
    const isContested = entry.peers.size > 0;
    const isDivided = isContested || entry.counted > 0;
    // Until the others know of a demand, everyone may use an even part.
    const lately = Math.max(entry.demand, entry.asked / Math.max(1, nowMs - this.#tickedMs));
    const own = Math.max(entry.counted, Math.min(lately, this.#rate * this.#even));
    const sharers = { members: this.#proxies, workers: this.#workers };
    const share = isDivided ? fairShareOfWorker(this.#rate, own, siblings, others, sharers) : this.#even;
    this.#setShare(entry, share, isContested, nowMs);
    if (entry.offered > 0) this.#takeOver(entry, siblings, others, nowMs);
  }

  /** The number of proxies that divide the budget. */
  get #proxies(): number {
    return this.#mode === "full" ? 1 : this.#members;
  }

  /** The number of processes that divide the budget, if every proxy has as many as this one. */
  get #sharers(): number {
    return this.#proxies * this.#workers;
  }

  get #even(): number {
    return 1 / this.#sharers;
  }

  /** Sets the share. Tokens above a smaller share are released to the others if they ask for them. */
  #setShare(entry: SharedEntry, share: number, isWanted: boolean, nowMs: number): void {
    this.#refill(entry, nowMs);
    const excess = entry.level - Math.max(share * this.#burst, entry.wanted);
    if (share < entry.share && excess > 0) {
      entry.level -= excess;
      if (isWanted) {
        entry.released += excess;
        entry.releasedMs = nowMs;
      }
    }
    entry.share = share;
  }

  /** Returns an upper estimate of the tokens asked for in an interval in which `asked` were asked for by chance. */
  #likelyMost(asked: number): number {
    return asked + 3 * Math.sqrt(asked * this.#dearest) + 3 * this.#dearest;
  }

  /** Takes this process's part of released tokens; whatever the others claim, not more than the rate would bring. */
  #takeOver(entry: SharedEntry, siblings: readonly number[], others: readonly number[], nowMs: number): void {
    if (nowMs - entry.offeredMs > releasedKeptMs) {
      entry.offered = 0;
      entry.takenOver = 0;
      return;
    }
    const sharers = { members: this.#proxies, workers: this.#workers };
    const part = partOfReleased(this.#rate, entry.counted, siblings, others, sharers);
    if (part === 0) return;
    entry.credit = Math.min(this.#burst, entry.credit + (nowMs - entry.creditMs) * this.#rate);
    entry.creditMs = nowMs;
    const due = entry.offered * part - entry.takenOver;
    const room = entry.share * this.#burst - entry.level;
    const gained = Math.max(0, Math.min(due, entry.credit, room));
    entry.takenOver += gained;
    entry.credit -= gained;
    entry.level += gained;
  }

  #forgetPeers(entry: SharedEntry, nowMs: number): void {
    const oldest = nowMs - Math.max(1000, 5 * this.#intervalMs);
    for (const [peer, { heardMs }] of entry.peers) if (heardMs < oldest) entry.peers.delete(peer);
  }

  #setSharers(members: number, workers: number, nowMs: number): void {
    if (members === this.#members && workers === this.#workers) return;
    this.#members = members;
    this.#workers = workers;
    if (this.#mode === "shared") this.#evenOut(nowMs);
  }

  #setMode(mode: ShareMode, nowMs: number): void {
    if (mode === this.#mode) return;
    this.#mode = mode;
    if (mode === "full") {
      for (const entry of this.#table.all) {
        for (const [peer, { isWorker }] of entry.peers) if (!isWorker) entry.peers.delete(peer);
        this.#setShare(entry, this.#even, false, nowMs);
      }
    }
    if (mode === "shared") this.#evenOut(nowMs);
  }

  /** Divides keys evenly for which nobody has reported a demand. */
  #evenOut(nowMs: number): void {
    for (const entry of this.#table.all) {
      if (entry.counted === 0 && entry.peers.size === 0) this.#setShare(entry, this.#even, false, nowMs);
    }
  }

  /** Ends the activity of a key that nobody asks for any more, here or elsewhere. */
  #rest(entry: SharedEntry): void {
    this.#active.delete(entry);
    entry.demand = 0;
    entry.released = 0;
    if (entry.key === undefined) this.#table.remove(entry);
  }

  // === Keys ===

  #refill(entry: SharedEntry, nowMs: number): void {
    const elapsedMs = nowMs - entry.stampMs;
    if (elapsedMs <= 0) return;
    entry.stampMs = nowMs;
    const most = Math.max(entry.share * this.#burst, entry.wanted);
    if (entry.level < most) entry.level = Math.min(most, entry.level + elapsedMs * entry.share * this.#rate);
  }

  /** A key that replaces an evicted one starts with at most that key's tokens. */
  #makeEntry(slot: number, digest: string, evicted: SharedEntry | undefined): SharedEntry {
    const nowMs = this.#nowMs;
    if (evicted !== undefined) this.#refill(evicted, nowMs);
    const share = this.#even;
    const level = Math.min(share * this.#burst, evicted?.level ?? Number.POSITIVE_INFINITY);
    return newEntry(slot, digest, { share, level, credit: this.#burst }, nowMs);
  }
}
