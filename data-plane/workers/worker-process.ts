import { fork, type Serializable } from "node:child_process";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../core/errors.js";
import type { Line, ToWorker } from "./messages.js";
import { type ToProcess, warmWord } from "./process-messages.js";

/** A process as its parent process sees it. */
export interface ChildLine<Sent> extends Line<Sent, unknown> {
  readonly pid: number;
  /** Kills the process at once. */
  kill(): void;
  /** Calls `listener` once, when the process has ended or could not be started. */
  onEnd(listener: (how: string) => void): void;
}

/**
 * A worker as the first process sees it. Its process may have workers of other services, and `kill` ends all of them.
 */
export interface WorkerProcess extends ChildLine<ToWorker> {
  /** Ends the worker and, if it was the last one, its process. */
  leave(): void;
}

/** Starts the worker with this number of a service. */
export type SpawnWorker = (worker: number) => WorkerProcess;

/** Starts a process. `title` is its name in process lists. `isWarm`: it warms up before it sends anything. */
export type ForkProcess = (title: string, isWarm: boolean) => ChildLine<ToProcess>;

/**
 * Forks a process. Messages are structured clones over a socket pair, so bytes stay bytes and no secret is on a command
 * line.
 */
export const forkProcess: ForkProcess = (title, isWarm) => {
  const child = fork(fileURLToPath(new URL("./main.js", import.meta.url)), [title, ...(isWarm ? [warmWord] : [])], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"], // standard output has the access log
  });
  return {
    pid: child.pid ?? 0,
    send: (message, socket) => {
      child.send(message as Serializable, socket, {}, (error) => {
        if (error !== null) socket?.destroy();
      });
    },
    kill: () => void child.kill("SIGKILL"),
    onMessage: (listener) => void child.on("message", (message) => listener(message as unknown, undefined)),
    onEnd: (listener) => {
      let told = false;
      const tell = (how: string): void => {
        if (!told) listener(how);
        told = true;
      };
      child.on("exit", (code, signal) => tell(signal ?? `exit code ${code}`));
      child.on("error", (error) => {
        if (child.exitCode === null && child.pid === undefined) tell(messageOf(error));
      });
    },
  };
};
