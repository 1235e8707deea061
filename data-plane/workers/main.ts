/** A worker process of `ashlar proxy --workers N`, with a worker of each service: started by the first process and by nobody else. */
import type { Serializable } from "node:child_process";
import { Socket } from "node:net";
import { messageOf } from "../../core/errors.js";
import { beginLoading, beginWarming, endLoading } from "../../runtime/loading-flags.js";
import { renderError } from "../../runtime/say-error.js";
import type { WorkerLine } from "../app-worker.js";
import type { ToWorker } from "./messages.js";
import { type FromProcess, type ToProcess, warmWord } from "./process-messages.js";

/** How long the process lives on so that its last log lines are written, in milliseconds. */
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
process.on("uncaughtException", onFault).on("unhandledRejection", onFault);
// The first process drains its workers: a signal to the whole group must not end them before.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
beginLoading([...process.execArgv, process.env.NODE_OPTIONS].join(" "));
const { startWorker } = await import("../app-worker.js");
if (process.argv.includes(warmWord)) await warmUpHere();
endLoading();
const line = process.send.bind(process);
/** Never fails: "disconnect" reports the line's end. */
const send = (message: FromProcess): void => void line(message as Serializable, undefined, {}, () => {});
const seats = new Map<number, (message: ToWorker, socket: Socket | undefined) => void>();

/** Warms this process up before it sends anything, so that it gets no calls yet. */
async function warmUpHere(): Promise<void> {
  const { warmUp } = await import("../warm/warm-up.js");
  beginWarming();
  const { problem } = await warmUp(new AbortController().signal);
  if (problem !== undefined) process.stderr.write(renderError(`a worker did not warm up: ${problem}`));
}

/** Starts the worker of another service. */
function open(seat: number): void {
  const own: WorkerLine = {
    send: (message) => send({ kind: "said", seat, message }),
    onMessage: (listener) => void seats.set(seat, listener),
  };
  startWorker(own, () => {
    seats.delete(seat);
    send({ kind: "closed", seat });
  });
}

function take(message: ToProcess, socket: Socket | undefined): void {
  if (message.kind === "end") end(0);
  else if (message.kind === "open") open(message.seat);
  else if (seats.has(message.seat)) seats.get(message.seat)?.(message.message, socket);
  else socket?.destroy();
}

// Ends the process when the first one is gone, because it would hear of neither policy nor revocations.
process.on("disconnect", () => process.exit(0));
process.on("message", (message, handle: unknown) => take(message as ToProcess, isSocket(handle) ? handle : undefined));
