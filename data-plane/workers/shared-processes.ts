/**
 * Worker processes that the services of one proxy process share: process N has the Nth worker of each service that has so
 * many, so twenty services with two workers take two processes. Each worker has a seat, and a line of its own through its process's.
 */
import type { Socket } from "node:net";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { ToWorker } from "./messages.js";
import { readFromProcess, type ToProcess } from "./process-messages.js";
import type { ChildLine, ForkProcess, SpawnWorker, WorkerProcess } from "./worker-process.js";

interface Seat {
  onMessage: (message: unknown, socket: undefined) => void;
  onEnd: (how: string) => void;
}

/**
 * Returns what starts workers in processes that it forks when the first worker needs one and ends after the last. `warm`: they
 * warm up, save one that follows a process which ended before it had said anything, as if by warming up.
 */
export function shareProcesses(fork: ForkProcess, warm: boolean): SpawnWorker {
  const processes = new Map<number, SharedProcess>();
  return (worker) => {
    let shared = processes.get(worker);
    if (shared === undefined || shared.isEnding) {
      shared = new SharedProcess(fork(`worker ${worker}`, warm && shared?.isSilent !== true));
      processes.set(worker, shared);
    }
    return shared.take();
  };
}

class SharedProcess {
  readonly #child: ChildLine<ToProcess>;
  readonly #seats = new Map<number, Seat>();
  #lastSeat = 0;
  /** Whether it takes no more workers: it was told to end, was killed or has ended. */
  isEnding = false;
  /** Whether it has said nothing yet. */
  isSilent = true;

  constructor(child: ChildLine<ToProcess>) {
    this.#child = child;
    child.onMessage((message) => this.#hear(message));
    child.onEnd((how) => {
      this.isEnding = true;
      for (const { onEnd } of this.#drain()) onEnd(how);
    });
  }

  take(): WorkerProcess {
    this.#lastSeat += 1;
    const number = this.#lastSeat;
    const seat: Seat = { onMessage: () => {}, onEnd: () => {} };
    this.#seats.set(number, seat);
    this.#child.send({ kind: "open", seat: number });
    return {
      pid: this.#child.pid,
      send: (message: ToWorker, socket?: Socket) => this.#child.send({ kind: "tell", seat: number, message }, socket),
      onMessage: (listener) => {
        seat.onMessage = listener;
      },
      onEnd: (listener) => {
        seat.onEnd = listener;
      },
      kill: () => this.#kill(),
      leave: () => (this.#seats.size > 1 ? this.#close(number, "given up") : this.#kill()),
    };
  }

  #hear(value: unknown): void {
    this.isSilent = false;
    try {
      const said = readFromProcess(value);
      const seat = this.#seats.get(said.seat);
      if (seat === undefined) return; // it was given up
      if (said.kind === "said") seat.onMessage(said.message, undefined);
      else if (this.#seats.size > 1) this.#close(said.seat, "exit code 0");
      else this.#end();
    } catch (error) {
      if (!(error instanceof AshlarError)) throw error;
      process.emitWarning(`a worker process is killed: ${messageOf(error)}`);
      this.#kill();
    }
  }

  /** The last worker is told that it has ended when the process has, so that its last log lines are written. */
  #end(): void {
    this.isEnding = true;
    this.#child.send({ kind: "end" });
  }

  #kill(): void {
    this.isEnding = true;
    this.#child.kill();
  }

  #close(number: number, how: string): void {
    const seat = this.#seats.get(number);
    this.#seats.delete(number);
    seat?.onEnd(how);
  }

  #drain(): readonly Seat[] {
    const seats = [...this.#seats.values()];
    this.#seats.clear();
    return seats;
  }
}
