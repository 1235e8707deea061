/** What a stream gave of what it counts. Pure. Nothing is ever deleted from the stream of a log, so what it does not give is lost. */
import type { Digest } from "../../core/digest.js";
import type { StreamInfo } from "../../runtime/bus.js";

/** What of a record matters here. */
interface Known {
  readonly digest: Digest;
}

export class StreamView {
  readonly stream: string;
  /** It was read, or written, up to here. */
  lastSequence = 0;
  #created: string | undefined;
  /** How many messages the server itself said it lacks. */
  #lacking = 0;
  /** Where each record was first given; undefined: it was appended and the stream did not give it back. */
  #records = new Map<Digest, number | undefined>();
  /** The same of records of another log that is in the stream too. */
  #others = new Map<Digest, number>();
  /** In ascending order. */
  #missing: number[] = [];
  #keepsNothing = false;

  constructor(stream: string) {
    this.stream = stream;
  }

  /** True: this is another stream, or it lost something since, and has to be read from its beginning. */
  isOther({ created, lastSequence, messages }: StreamInfo): boolean {
    const other = created !== this.#created || lastSequence < this.lastSequence;
    return other || Math.max(0, lastSequence - messages) !== this.#lacking;
  }

  /** Returns whether it was read before. */
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

  /** A record of another log that this stream holds too. */
  gaveOther(digest: Digest, sequence: number): void {
    if (!this.#others.has(digest)) this.#others.set(digest, sequence);
  }

  gaveNothing(sequence: number): void {
    this.#missing.push(sequence);
  }

  /** The stream acknowledged a record and does not give it. */
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

  /** The server's store is damaged so that it loses what is appended too. */
  get keepsNothing(): boolean {
    return this.#keepsNothing;
  }

  /** Why nothing may be signed on top of `history`, and what helps; undefined: it may. Oldest first. */
  lack(history: readonly Known[]): string | undefined {
    if (this.#isMadeUpBy(history)) return undefined;
    const remedy = this.#keepsNothing
      ? "it loses what is appended too: delete that stream in NATS while a control plane with its ledger folder runs, or stop NATS and remove the stream's folder: it is made and filled anew"
      : "start a control plane that has its ledger folder, or put NATS's store back from a backup";
    return `${this.#renderLoss()}: nothing is signed; ${remedy}`;
  }

  /** What is wrong, whether or not `history` makes up for it. */
  problem(history: readonly Known[]): string | undefined {
    if (this.#missing.length === 0) return undefined;
    return this.lack(history) ?? `${this.#renderLoss()}: they are in it again; look after that disk`;
  }

  #renderLoss(): string {
    return `stream ${this.stream} does not give ${this.#missing.length} of its records, NATS's store is damaged`;
  }

  /**
   * Readers get the head from the stream, and for each place without a record there is one that the stream did not
   * give before that place. Nothing is signed while that is not so: what comes behind the place was put back.
   */
  #isMadeUpBy(history: readonly Known[]): boolean {
    if (this.#missing.length === 0) return true;
    const head = history.at(-1);
    if (head !== undefined && this.#records.get(head.digest) === undefined) return false;
    const own = history.map(({ digest }) => this.#records.get(digest) ?? Number.POSITIVE_INFINITY);
    const places = [...own, ...this.#others.values()].sort((a, b) => b - a);
    // the n-th missing place from the end wants n records that were first given behind it
    return [...this.#missing].reverse().every((sequence, index) => (places[index] ?? 0) > sequence);
  }
}
