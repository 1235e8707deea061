/** What is in the log of a journal in memory, and what is asked of it. */
import type { FoundOutcome, WriteEnd } from "../../core/journal/write-steps.js";

export interface StoredEntry {
  readonly kind: "entry";
  /** A streamed request: the records that have its messages. */
  readonly messages: readonly number[];
  readonly sequence: number;
  readonly subject: string;
  readonly isOrdered: boolean;
  readonly expected: number;
  readonly keyId: string;
  readonly request: string;
  readonly call: number;
  readonly life: number;
}

export interface StoredOutcome extends FoundOutcome {
  readonly kind: "outcome";
  readonly sequence: number;
  readonly subject: string;
  readonly entry: number;
  readonly result: string;
}

/** Messages of a streamed request. */
export interface StoredMessages {
  readonly kind: "messages";
  readonly sequence: number;
  readonly subject: string;
  readonly stream: string;
  readonly number: number;
}

/** What somebody who has a proxy's credential stored under a message id that is another's. */
export interface StoredGarbage {
  readonly kind: "garbage";
  readonly sequence: number;
  readonly subject: string;
}

/** What was let go: everything before, up to `through`. */
export interface StoredLetGo {
  readonly kind: "let-go";
  readonly sequence: number;
  readonly subject: string;
  readonly through: number;
  readonly heads: ReadonlyMap<string, number>;
}

export type Stored = StoredEntry | StoredMessages | StoredOutcome | StoredGarbage | StoredLetGo;

export interface Call {
  readonly id: number;
  readonly keyId: string;
  readonly order: string;
  readonly request: string;
  readonly expected: number | undefined;
  /** How many messages it streams; left out: it does not. "breaks-off": its caller sends one and leaves. */
  readonly messages?: number | "breaks-off";
}

export interface Ended {
  readonly call: Call;
  /** undefined: its proxy died. */
  readonly end: WriteEnd<StoredOutcome> | { readonly kind: "gone" } | undefined;
}

export interface Faults {
  /** The share of steps in which the proxy dies, and the share of appends whose acknowledgement is lost. */
  readonly death: number;
  readonly loss: number;
  /** The share of reads that see all of the log. */
  readonly fresh: number;
  /** The share of appends before which a thief takes the message id. */
  readonly theft?: number;
  /** The share of events in which an operator lets go of what is settled. */
  readonly lettingGo?: number;
}
