/**
 * The messages between the first process and a worker process. They carry the messages of each worker and its service.
 */
import { fieldsOf, integer, invalid } from "./message-readers.js";
import type { ToWorker } from "./messages.js";

/** The command-line argument that tells a process to warm up. */
export const warmWord = "warm";

/** A message to a process that has workers of several services. Each worker has a seat, a number that is used once. */
export type ToProcess =
  | { readonly kind: "open"; readonly seat: number }
  | { readonly kind: "tell"; readonly seat: number; readonly message: ToWorker }
  /** Tells the process to end: its last worker has closed. */
  | { readonly kind: "end" };

export type FromProcess =
  | { readonly kind: "said"; readonly seat: number; readonly message: unknown }
  /** Says that the worker has ended as it was told to. */
  | { readonly kind: "closed"; readonly seat: number };

/** Parses a process's message, except what its worker says. Fails with `invalid_record`. */
export function readFromProcess(value: unknown): FromProcess {
  const { kind, seat, message } = fieldsOf(value);
  if (kind === "said") return { kind, seat: integer(seat), message };
  if (kind === "closed") return { kind, seat: integer(seat) };
  throw invalid("its kind");
}
