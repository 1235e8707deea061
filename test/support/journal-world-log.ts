/** The types of the in-memory journal's log, and of the calls to it. */
import type { FoundOutcome, WriteEnd } from "../../core/journal/write-steps.js";

export interface StoredEntry {
  readonly kind: "entry";
  /** For a streamed request: the records that contain its messages. */
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

/** The record with the messages of a streamed request. */
export interface StoredMessages {
  readonly kind: "messages";
  readonly sequence: number;
  readonly subject: string;
  readonly stream: string;
  readonly number: number;
}

/** What an attacker with a proxy's credential stored under another's message id. */
export interface StoredGarbage {
  readonly kind: "garbage";
  readonly sequence: number;
  readonly subject: string;
}

/** The record of a drop: everything up to `through` was dropped. */
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
  /**
   * How many messages the call streams. Left out: it does not stream. "breaks-off": its caller sends one and leaves.
   */
  readonly messages?: number | "breaks-off";
}

export interface Ended {
  readonly call: Call;
  /** How the call ended. undefined: its proxy died. */
  readonly end: WriteEnd<StoredOutcome> | { readonly kind: "gone" } | undefined;
}

export interface Faults {
  /** The share of steps in which the proxy dies. Below: the share of appends whose acknowledgement is lost. */
  readonly death: number;
  readonly loss: number;
  /** The share of reads that see the whole log. */
  readonly fresh: number;
  /** The share of appends before which an attacker takes the message id. */
  readonly theft?: number;
  /** The share of events in which an operator drops settled entries. */
  readonly lettingGo?: number;
}
