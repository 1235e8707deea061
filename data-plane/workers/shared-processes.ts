/**
 * Worker processes that the services of one proxy process share. Process N has the Nth worker of each service that has
 * so many workers, so twenty services with two workers need two processes. Each worker has a seat and its own line
 * through the line of its process.
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
 * Returns a function that starts workers in shared processes. A process is forked when its first worker starts and ends
 * after its last. `warm`: processes warm up, except one that replaces a process which ended before it sent anything, as
 * if warming up had ended it.
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
  /** Whether the process takes no more workers: it was told to end, was killed, or has ended. */
  isEnding = false;
  /** Whether the process has sent nothing yet. */
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

  /** Tells the last worker of its end when the process has ended, so that the process's last log lines are written. */
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
