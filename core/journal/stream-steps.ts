/**
 * The way of a streamed request into the journal, until it can be closed: a generator without clock and network, which a proxy
 * performs on its connections and the simulation on a log in memory. Nothing of it counts before an entry names its records,
 * so whoever dies on the way leaves nothing that was written.
 */

export type StreamStep =
  /** Waits until messages are there that no record has yet, or the request has ended. */
  | { readonly kind: "collect" }
  /** Appends them as the record of this number, under its message id, until it is acknowledged or time is up. */
  | { readonly kind: "append-messages"; readonly number: number };

export interface StreamResults {
  /** "ended": all are in records. "gone": the caller broke off, or sent what is refused. */
  readonly collect: "messages" | "ended" | "gone";
  /** Where it is; undefined: nobody knows. */
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
