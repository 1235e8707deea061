/**
 * Simulates proxies that share one limit, with a virtual clock and a network that delays and loses messages. A seed
 * repeats a run.
 */
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { KeyDemand } from "../../core/limit/limit-report.js";
import { MergedDemands } from "../../core/limit/merged-demands.js";
import { SharedBudgets } from "../../core/limit/shared-budgets.js";

export interface SimulationOptions {
  readonly limit: Limit;
  /** The number of proxies. */
  readonly members: number;
  /** How many workers each proxy has. With more than one, other proxies hear the sum of their demand. */
  readonly workers?: number;
  readonly intervalMs?: number;
  readonly delayMs?: number;
  /** The share of messages that are lost, from 0 to 1. */
  readonly loss?: number;
  readonly seed?: number;
}

interface Member {
  readonly id: string;
  readonly proxy: Proxy;
  readonly budgets: SharedBudgets;
  nextTickMs: number;
  owed: number;
  connected: boolean;
}

interface Proxy {
  readonly id: string;
  readonly merged: MergedDemands;
  nextTickMs: number;
}

interface Message {
  readonly atMs: number;
  readonly proxy: Proxy;
  /** The process that sent it. undefined: it speaks for all workers of the proxy. */
  readonly from: Member | undefined;
  readonly demands: readonly KeyDemand[];
}

export class ShareSimulation {
  readonly #options: Required<SimulationOptions>;
  /** The processes that carry calls, in the order of their proxies. */
  readonly #members: Member[] = [];
  readonly #proxies: Proxy[] = [];
  #messages: Message[] = [];
  #state: number;
  nowMs = 0;
  /** How many calls each member admitted in the last run. */
  admitted: number[] = [];

  constructor(options: SimulationOptions) {
    this.#options = { workers: 1, intervalMs: 100, delayMs: 3, loss: 0, seed: 1, ...options };
    this.#state = this.#options.seed;
    for (let i = 0; i < options.members; i += 1) this.join();
  }

  /** Returns a random number from 0 to 1 (mulberry32). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  join(): void {
    const { limit, intervalMs, workers } = this.#options;
    const members = Math.max(this.#proxies.length + 1, this.nowMs === 0 ? this.#options.members : 0);
    const proxy = { id: `p${this.#proxies.length}`, merged: new MergedDemands(), nextTickMs: this.nowMs + intervalMs };
    this.#proxies.push(proxy);
    for (let worker = 0; worker < workers; worker += 1) {
      const budgets = new SharedBudgets(limit, 1000, { members, workers }, this.nowMs);
      const nextTickMs = this.nowMs + this.random() * intervalMs;
      this.#members.push({ id: `${proxy.id} ${worker}`, proxy, budgets, nextTickMs, owed: 0, connected: true });
    }
  }

  /** Removes a proxy without workers. */
  leave(index: number): void {
    this.#members.splice(index, 1);
    this.#proxies.splice(index, 1);
  }

  setConnected(connected: boolean): void {
    for (const member of this.#members) member.connected = connected;
  }

  /**
   * Lets `perSecond[i]` calls of one token arrive at process i, at random times, for `forMs`. Returns how many passed.
   */
  run(forMs: number, perSecond: readonly number[], key = ""): number {
    this.admitted = this.#members.map(() => 0);
    const endMs = this.nowMs + forMs;
    for (; this.nowMs < endMs; this.nowMs += 1) {
      this.#deliver();
      if (this.#options.workers > 1)
        for (const proxy of this.#proxies) if (this.nowMs >= proxy.nextTickMs) this.#relay(proxy);
      for (const [index, member] of this.#members.entries()) {
        if (this.nowMs >= member.nextTickMs) this.#tick(member);
        member.owed += ((perSecond[index] ?? 0) / 1000) * 2 * this.random();
        for (; member.owed >= 1; member.owed -= 1)
          if (this.#call(member, key)) this.admitted[index] = (this.admitted[index] ?? 0) + 1;
      }
    }
    return this.admitted.reduce((sum, count) => sum + count, 0);
  }

  #call({ budgets }: Member, key: string): boolean {
    const slot = budgets.touch(key, this.nowMs, 1);
    if (budgets.levelOf(slot) < 1) return false;
    budgets.take(slot, 1);
    return true;
  }

  #tick(member: Member): void {
    const { intervalMs, workers } = this.#options;
    const { connected, proxy } = member;
    const members = this.#proxies.length;
    const demands = member.budgets.tick(this.nowMs, { members, workers, connected, intervalMs });
    member.nextTickMs += intervalMs;
    if (demands.length === 0) return;
    if (workers > 1) proxy.merged.hear(member.id, { limits: [{ limit: "l", keys: demands }] }, this.nowMs);
    this.#send(proxy, member, demands);
  }

  /** Lets the first process of a proxy with workers pass on their reports. */
  #relay(proxy: Proxy): void {
    proxy.nextTickMs += this.#options.intervalMs;
    const [told] = proxy.merged.report(this.nowMs).limits;
    if (told !== undefined) this.#send(proxy, undefined, told.keys);
  }

  #send(proxy: Proxy, from: Member | undefined, demands: readonly KeyDemand[]): void {
    this.#messages.push({ atMs: this.nowMs + this.#options.delayMs, proxy, from, demands });
  }

  #deliver(): void {
    const isLost = (): boolean => this.random() < this.#options.loss;
    const due = this.#messages.filter(({ atMs }) => atMs <= this.nowMs);
    if (due.length === 0) return;
    this.#messages = this.#messages.filter(({ atMs }) => atMs > this.nowMs);
    for (const { proxy, from, demands } of due) {
      for (const member of this.#members) {
        const isWorker = member.proxy === proxy;
        if (isWorker && from !== undefined && from !== member)
          member.budgets.hear(from.id, demands, this.nowMs, "worker");
        const speaksForProxy = from === undefined || this.#options.workers === 1;
        if (!isWorker && speaksForProxy && member.connected && !isLost())
          member.budgets.hear(proxy.id, demands, this.nowMs);
      }
    }
  }
}
