/**
 * Compares what a stream gives with what it should have. Pure. Nothing is ever deleted from the stream of a log, so
 * what it does not give is lost.
 */
import type { Digest } from "../../core/digest.js";
import type { StreamInfo } from "../../runtime/bus.js";

/** What is needed of a record here. */
interface Known {
  readonly digest: Digest;
}

export class StreamView {
  readonly stream: string;
  /** The last sequence that was read or written. */
  lastSequence = 0;
  #created: string | undefined;
  /** The number of messages that the server itself said it lacks. */
  #lacking = 0;
  /**
   * The sequence at which each record was first given; undefined: it was appended and the stream did not give it back.
   */
  #records = new Map<Digest, number | undefined>();
  /** The same for records of another log in this stream. */
  #others = new Map<Digest, number>();
  /** The missing sequences in ascending order. */
  #missing: number[] = [];
  #keepsNothing = false;

  constructor(stream: string) {
    this.stream = stream;
  }

  /** Returns whether this is another stream, or one that lost something since, and must be read from its beginning. */
  isOther({ created, lastSequence, messages }: StreamInfo): boolean {
    const other = created !== this.#created || lastSequence < this.lastSequence;
    return other || Math.max(0, lastSequence - messages) !== this.#lacking;
  }

  /** Whether the stream was read before. */
  get isKnown(): boolean {
    return this.#created !== undefined;
  }

  begin({ created, lastSequence, messages }: StreamInfo): void {
    this.#created = created;
    this.#lacking = Math.max(0, lastSequence - messages);
    this.lastSequence = 0;
    this.#records = new Map();
    this.#others = new Map();
    this.#missing = [];
    this.#keepsNothing = false;
  }

  gave(digest: Digest, sequence: number): void {
    if (this.#records.get(digest) === undefined) this.#records.set(digest, sequence);
  }

  /** Notes that the stream gave a record of another log. */
  gaveOther(digest: Digest, sequence: number): void {
    if (!this.#others.has(digest)) this.#others.set(digest, sequence);
  }

  gaveNothing(sequence: number): void {
    this.#missing.push(sequence);
  }

  /** Notes that the stream acknowledged a record and does not give it. */
  lostAtOnce(digest: Digest, sequence: number): void {
    if (!this.#records.has(digest)) this.#records.set(digest, undefined);
    this.#missing.push(sequence);
    this.#keepsNothing = true;
  }

  /** Returns whether the record was read from the stream or appended to it. */
  has(digest: Digest): boolean {
    return this.#records.has(digest);
  }

  get missing(): number {
    return this.#missing.length;
  }

  get firstMissing(): number | undefined {
    return this.#missing[0];
  }

  /** True if the server's store is damaged so that it also loses what is appended. */
  get keepsNothing(): boolean {
    return this.#keepsNothing;
  }

  /**
   * Returns why nothing may be signed on top of `history`, and what helps; undefined: it may. `history`: oldest first.
   */
  lack(history: readonly Known[]): string | undefined {
    if (this.#isMadeUpBy(history)) return undefined;
    const remedy = this.#keepsNothing
      ? "it loses what is appended too: delete that stream in NATS while a control plane with its ledger folder runs, or stop NATS and remove the stream's folder: it is made and filled anew"
      : "start a control plane that has its ledger folder, or put NATS's store back from a backup";
    return `${this.#renderLoss()}: nothing is signed; ${remedy}`;
  }

  /** Returns what is wrong with the stream, even if `history` makes up for it. */
  problem(history: readonly Known[]): string | undefined {
    if (this.#missing.length === 0) return undefined;
    return this.lack(history) ?? `${this.#renderLoss()}: they are in it again; look after that disk`;
  }

  #renderLoss(): string {
    return `stream ${this.stream} does not give ${this.#missing.length} of its records, NATS's store is damaged`;
  }

  /**
   * Returns whether readers get the head from the stream, and whether each missing place is followed by a record that
   * the stream gave first behind it, because it was put back. Until then nothing is signed.
   */
  #isMadeUpBy(history: readonly Known[]): boolean {
    if (this.#missing.length === 0) return true;
    const head = history.at(-1);
    if (head !== undefined && this.#records.get(head.digest) === undefined) return false;
    const own = history.map(({ digest }) => this.#records.get(digest) ?? Number.POSITIVE_INFINITY);
    const places = [...own, ...this.#others.values()].sort((a, b) => b - a);
    // the n-th missing place from the end needs n records that were first given behind it
    return [...this.#missing].reverse().every((sequence, index) => (places[index] ?? 0) > sequence);
  }
}
