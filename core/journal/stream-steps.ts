/**
 * How a streamed request is appended to the journal before it is closed, as a generator without clock and network. A
 * proxy performs the steps on its connections; the simulation performs them on a log in memory. Nothing counts as
 * written before an entry names the records, so a proxy that dies on the way leaves nothing written.
 */

export type StreamStep =
  /** Waits until there are messages that no record has yet, or the request has ended. */
  | { readonly kind: "collect" }
  /**
   * Appends the collected messages as record `number`, under its message id, until the record is acknowledged or time
   * is up.
   */
  | { readonly kind: "append-messages"; readonly number: number };

export interface StreamResults {
  /** "ended": all messages are in records. "gone": the caller cancelled, or sent something that is refused. */
  readonly collect: "messages" | "ended" | "gone";
  /** The sequence of the record; undefined: nobody knows whether it was stored. */
  readonly "append-messages": number | undefined;
}

export type StreamEnd =
  | { readonly kind: "whole"; readonly messages: readonly number[] }
  | { readonly kind: "gone" }
  | { readonly kind: "unavailable" };

export function* streamSteps(): Generator<StreamStep, StreamEnd, unknown> {
  const messages: number[] = [];
  for (;;) {
    const collected = (yield { kind: "collect" }) as StreamResults["collect"];
    if (collected === "gone") return { kind: "gone" };
    if (collected === "ended") return { kind: "whole", messages };
    const sequence = (yield { kind: "append-messages", number: messages.length }) as StreamResults["append-messages"];
    if (sequence === undefined) return { kind: "unavailable" };
    messages.push(sequence);
  }
}
