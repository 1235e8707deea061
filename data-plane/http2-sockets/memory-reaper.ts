import type { MemoryBudget } from "../http2/memory-budget.js";
import { errorCode } from "../http2/protocol.js";
import { refusal } from "../http2/refusals.js";
import type { Stream } from "../http2/stream.js";
import type { EngineLoop, LoopMember } from "./engine-loop.js";
import { greediestStreams, keptBytesOf } from "./greediest-streams.js";

/** The share of the budget down to which room is made at a time, so that the next byte does not exceed it again. */
const targetShare = 0.75;
/**
 * The share for what open calls hold, which no peer is to blame for: calls are ended only when the budget is full, down
 * to this share.
 */
const callsShare = 0.85;
/** A socket that has taken nothing for this long counts as stuck. */
const stuckMs = 5000;
/** Milliseconds before the next attempt after one that freed nothing. */
const restMs = 50;

/**
 * Keeps what connections hold for their peers within the process' budget: ends the streams whose peers have read next
 * to nothing for longest, then closes the connections whose sockets are stuck. If open calls hold most of it, slow
 * peers are not to blame: then the calls that hold the most are ended, and only when the budget is full.
 */
export class MemoryReaper {
  readonly #loop: EngineLoop;
  readonly #budget: MemoryBudget;
  #scheduled = false;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  /** True if the budget was full when an attempt freed nothing. */
  #wasFull = false;

  constructor(loop: EngineLoop, budget: MemoryBudget) {
    this.#loop = loop;
    this.#budget = budget;
    budget.onTight = () => this.#soon();
  }

  /** Runs later, because the code that took the bytes is still running. */
  #soon(): void {
    if (this.#scheduled) return;
    if (this.#loop.time() < this.#notBeforeMs && (this.#wasFull || !this.#budget.isFull)) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.reap();
    });
  }

  reap(): void {
    const budget = this.#budget;
    if (!budget.isTight) return;
    const before = budget.usedBytes;
    if (!this.#endGreediest()) this.#endSlowest();
    if (budget.usedBytes !== before) return;
    this.#notBeforeMs = this.#loop.time() + restMs;
    this.#wasFull = budget.isFull;
  }

  /** Returns false if open calls keep less than half of the budget. */
  #endGreediest(): boolean {
    const budget = this.#budget;
    const connections = [...this.#loop.connections].map(({ connection }) => connection);
    if (keptBytesOf(connections) * 2 < budget.usedBytes) return false;
    if (!budget.isFull) return true;
    for (const stream of greediestStreams(connections, budget.usedBytes - budget.maxBytes * callsShare)) end(stream);
    return true;
  }

  #endSlowest(): void {
    const budget = this.#budget;
    const target = budget.maxBytes * targetShare;
    for (const stream of this.#slowest()) {
      if (budget.usedBytes <= target) return;
      end(stream);
    }
    for (const connection of this.#stuck()) {
      if (budget.usedBytes <= target) return;
      connection.connection.counters.refuse(refusal.memory);
      connection.destroy();
    }
  }

  /** Returns the streams with waiting output, the one that stalls for longest first. */
  #slowest(): Stream[] {
    const streams: Stream[] = [];
    for (const { connection } of this.#loop.connections) {
      if (connection.sender.waitingBytes === 0) continue;
      for (const stream of connection.streams.all()) if (stream.waitingBytes > 0) streams.push(stream);
    }
    return streams.sort((a, b) => a.stalledSinceMs - b.stalledSinceMs || b.waitingBytes - a.waitingBytes);
  }

  #stuck(): LoopMember[] {
    const nowMs = this.#loop.time();
    const stuck = [...this.#loop.connections].filter(
      ({ writingSinceMs }) => writingSinceMs >= 0 && nowMs - writingSinceMs >= stuckMs,
    );
    return stuck.sort((a, b) => a.writingSinceMs - b.writingSinceMs);
  }
}

/** gRPC's clients read this code as status 8, RESOURCE_EXHAUSTED. */
function end(stream: Stream): void {
  stream.connection.reap(stream, errorCode.enhanceYourCalm, refusal.memory);
}
