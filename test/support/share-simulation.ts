/** Proxies that share one limit, over a virtual clock and a network that delays and loses: seeded, so runs repeat. */
import type { Limit } from "../../core/limit/limit-model.js";
import type { KeyDemand } from "../../core/limit/limit-report.js";
import { SharedBudgets } from "../../core/limit/shared-budgets.js";

export interface SimulationOptions {
  readonly limit: Limit;
  readonly members: number;
  readonly intervalMs?: number;
  readonly delayMs?: number;
  /** Of messages, from 0 to 1. */
  readonly loss?: number;
  readonly seed?: number;
}

interface Member {
  readonly id: string;
  readonly budgets: SharedBudgets;
  nextTickMs: number;
  owed: number;
  connected: boolean;
}

interface Message {
  readonly atMs: number;
  readonly from: string;
  readonly demands: readonly KeyDemand[];
}

export class ShareSimulation {
  readonly #options: Required<SimulationOptions>;
  readonly #members: Member[] = [];
  #messages: Message[] = [];
  #state: number;
  nowMs = 0;
  /** Of the last run, by member. */
  admitted: number[] = [];

  constructor(options: SimulationOptions) {
    this.#options = { intervalMs: 100, delayMs: 3, loss: 0, seed: 1, ...options };
    this.#state = this.#options.seed;
    for (let i = 0; i < options.members; i += 1) this.join();
  }

  /** From 0 to 1 (mulberry32). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  join(): void {
    const { limit, intervalMs } = this.#options;
    const members = Math.max(this.#members.length + 1, this.nowMs === 0 ? this.#options.members : 0);
    const budgets = new SharedBudgets(limit, 1000, members, this.nowMs);
    const nextTickMs = this.nowMs + this.random() * intervalMs;
    this.#members.push({ id: `p${this.#members.length}`, budgets, nextTickMs, owed: 0, connected: true });
  }

  leave(index: number): void {
    this.#members.splice(index, 1);
  }

  setConnected(connected: boolean): void {
    for (const member of this.#members) member.connected = connected;
  }

  /** Lets `perSecond[i]` calls of one token come to member i, at random times, for so long; gives how many passed. */
  run(forMs: number, perSecond: readonly number[], key = ""): number {
    this.admitted = this.#members.map(() => 0);
    const endMs = this.nowMs + forMs;
    for (; this.nowMs < endMs; this.nowMs += 1) {
      this.#deliver();
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
    const { intervalMs, delayMs } = this.#options;
    const { connected } = member;
    const demands = member.budgets.tick(this.nowMs, { members: this.#members.length, connected, intervalMs });
    member.nextTickMs += intervalMs;
    if (connected && demands.length > 0) this.#messages.push({ atMs: this.nowMs + delayMs, from: member.id, demands });
  }

  #deliver(): void {
    const due = this.#messages.filter(({ atMs }) => atMs <= this.nowMs);
    if (due.length === 0) return;
    this.#messages = this.#messages.filter(({ atMs }) => atMs > this.nowMs);
    for (const { from, demands } of due) {
      for (const { id, connected, budgets } of this.#members)
        if (id !== from && connected && this.random() >= this.#options.loss) budgets.hear(from, demands, this.nowMs);
    }
  }
}
