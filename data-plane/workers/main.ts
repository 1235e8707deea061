/** A worker process of `ashlar proxy --workers N`: started by the first process and by nobody else. */
import type { Serializable } from "node:child_process";
import { Socket } from "node:net";
import { messageOf } from "../../core/errors.js";
import { renderError } from "../../runtime/say-error.js";
import { startWorker } from "../app-worker.js";
import type { ToWorker } from "./messages.js";

/** Milliseconds before the process ends, so that its last log lines are written. */
const lingerMs = 50;

function end(code: number): void {
  setTimeout(() => process.exit(code), lingerMs);
}

function onFault(error: unknown): void {
  process.stderr.write(renderError(`a worker ends: ${messageOf(error)}`));
  process.exit(1);
}

function isSocket(handle: unknown): handle is Socket {
  return handle instanceof Socket;
}

if (process.send === undefined) {
  process.stderr.write(renderError("this program is a part of `ashlar proxy --workers N`: run that"));
  process.exit(2);
}
const send = process.send.bind(process);
// The first process drains its workers: a signal to the whole group must not end them before.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
process.on("uncaughtException", onFault).on("unhandledRejection", onFault);
// Ends the process when the first one is gone, because it would hear of neither policy nor revocations.
process.on("disconnect", () => process.exit(0));
startWorker(
  {
    send: (message) => void send(message as Serializable, undefined, {}, () => {}), // "disconnect" reports its end
    onMessage: (listener) =>
      void process.on("message", (message, handle: unknown) => {
        listener(message as ToWorker, isSocket(handle) ? handle : undefined);
      }),
  },
  () => end(0),
);
