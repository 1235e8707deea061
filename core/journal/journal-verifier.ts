/**
 * Reads a journal from its first remaining message on and finds what was changed, removed, moved, inserted or cut off.
 * Pure.
 */
import { BoundedMap } from "../bounded-map.js";
import { type Digest, digestOf } from "../digest.js";
import { AshlarError, messageOf } from "../errors.js";
import type { KeySet } from "../signature.js";
import type { FleetWriter } from "../wire/fleet.js";
import { parseEntry } from "../wire/journal/entry.js";
import type { Confirmation } from "../wire/journal/fields.js";
import { everyBucket, verifyLetGo } from "../wire/journal/let-go.js";
import { parseMessages } from "../wire/journal/messages.js";
import { parseOutcome } from "../wire/journal/outcome.js";
import { verifyResolution } from "../wire/journal/resolution.js";
import { chainWith, type JournalSeal, linkOf, type SealedMessage, verifySeal } from "../wire/journal/seal.js";
import { parseJournalSubject } from "../wire/subjects.js";
import { isMessagesKey } from "./journal-key.js";

/** A message of a journal as it is stored. */
export interface JournalMessage extends SealedMessage {
  /** When the message was stored, in Unix milliseconds. */
  readonly storedMs: number;
}

export interface JournalFault {
  readonly sequence: number;
  readonly why: string;
}

export interface JournalVerdict {
  readonly messages: number;
  readonly entries: number;
  /** The number of seals whose signature and chain hold. */
  readonly seals: number;
  /** Everything up to this sequence is covered by a signature that holds; 0: nothing is. */
  readonly sealedThrough: number;
  /** The first hundred faults; empty if the journal is what was written. */
  readonly faults: readonly JournalFault[];
}

export interface JournalVerifierDeps {
  readonly service: string;
  readonly mesh: string;
  /** Every signing key that the mesh has ever had. */
  readonly keys: KeySet;
  /** Returns the proxy that signed a message. Fails if no proxy of the service did. */
  readonly writerOf: (message: JournalMessage) => FleetWriter;
  /** The signed statement of what was removed last, which is also in the journal; undefined: nothing was removed. */
  readonly letGo?: Uint8Array | undefined;
}

const faultsMax = 100;
/** How many of the last records are kept for comparison with later ones; seals cover older ones. */
const recordsKept = 200_000;

interface Record {
  readonly digest: Digest;
  /** The proxy that wrote the entry. */
  readonly proxyId: string | undefined;
}

export class JournalVerifier {
  readonly #deps: JournalVerifierDeps;
  readonly #records = new BoundedMap<number, Record>(recordsKept);
  readonly #places = new BoundedMap<Digest, number>(recordsKept);
  readonly #faults: JournalFault[] = [];
  #messages = 0;
  #entries = 0;
  #seals = 0;
  #sealedThrough = 0;
  #last = 0;
  /** Everything up to this sequence was removed; `saysLetGo`: whether the journal itself has that statement. */
  #letGo = 0;
  #saysLetGo = false;
  /** The hash chain over all messages read so far, and its value after each recent message. */
  #chain: Digest | undefined;
  readonly #chains = new BoundedMap<number, Digest>(recordsKept);
  /** The links of messages that no seal covers yet. */
  readonly #links = new BoundedMap<number, Uint8Array>(recordsKept);
  #lastFault = 0;

  /** Fails with `invalid_record` or `unauthenticated` if the statement of what was removed does not verify. */
  constructor(deps: JournalVerifierDeps) {
    this.#deps = deps;
    if (deps.letGo === undefined) return;
    const { body } = verifyLetGo(deps.letGo, deps.mesh, deps.keys);
    if (body.service !== deps.service || body.bucket !== everyBucket)
      throw new AshlarError("invalid_record", "what was let go is said of another journal");
    this.#letGo = this.#last = this.#sealedThrough = body.through;
    this.#chain = body.chain;
    this.#chains.set(body.through, body.chain);
  }

  /** Adds a fault that a reader found before it could parse a message. */
  refuse(sequence: number, why: string): void {
    this.#lastFault = Math.max(this.#lastFault, sequence);
    if (this.#faults.length < faultsMax) this.#faults.push({ sequence, why });
  }

  /** Verifies the next message, given as it was stored. */
  add(message: JournalMessage): void {
    const { sequence, data } = message;
    // a removed message came back, as after a kill -9 of a NATS server; it is ignored
    if (sequence <= this.#letGo) return;
    this.#messages += 1;
    if (!this.#isNext(sequence)) return;
    this.#last = sequence;
    const digest = digestOf(data);
    const before = this.#places.get(digest);
    if (before !== undefined) this.refuse(sequence, `it is a copy of sequence ${before}: it was inserted`);
    else this.#places.set(digest, sequence);
    try {
      this.#read(message, digest);
    } catch (error) {
      this.refuse(
        sequence,
        `it is no record of this journal, so it was changed, moved or inserted: ${messageOf(error)}`,
      );
    }
    const link = linkOf(message);
    this.#links.set(sequence, link);
    this.#chain = chainWith(this.#chain, link);
    this.#chains.set(sequence, this.#chain);
  }

  /** Checks that sequences have no gap. A message behind a higher sequence is out of place. */
  #isNext(sequence: number): boolean {
    const expected = this.#last + 1;
    if (sequence === expected) return true;
    if (sequence < expected) {
      this.refuse(sequence, `it stands behind sequence ${this.#last}: it was moved or inserted`);
      return false;
    }
    const isOne = sequence === expected + 1;
    this.refuse(expected, isOne ? "it is missing" : `sequences ${expected} to ${sequence - 1} are missing`);
    return true;
  }

  #read(message: JournalMessage, digest: Digest): void {
    const { service, mesh, keys, writerOf } = this.#deps;
    const { sequence, subject, data } = message;
    const place = parseJournalSubject(subject);
    if (place?.service !== service) throw new AshlarError("invalid_record", "it is of another journal");
    if (place.kind === "seal") {
      this.#checkSeal(verifySeal(data, mesh, keys).body, sequence, "");
      return;
    }
    if (place.kind === "letgo") {
      const { body } = verifyLetGo(data, mesh, keys);
      if (body.service !== service || body.bucket !== place.key)
        throw new AshlarError("invalid_record", "it is about another journal");
      this.#saysLetGo ||= body.bucket === everyBucket && body.through === this.#letGo;
      return;
    }
    if (place.kind === "resolution") {
      const { body } = verifyResolution(data, mesh, keys);
      if (body.service !== service) throw new AshlarError("invalid_record", "it is about another journal");
      this.#checkAbout(sequence, body.entry, body.entryDigest, undefined);
      return;
    }
    const writer = writerOf(message);
    if (place.kind === "entry" && isMessagesKey(place.key)) {
      this.#records.set(sequence, { digest, proxyId: undefined });
      this.#checkConfirmed(parseMessages(data, writer, place.key).confirms);
      return;
    }
    if (place.kind === "entry") {
      const { confirms, streamed } = parseEntry(data, writer, place.key);
      this.#entries += 1;
      this.#checkStreamed(sequence, streamed?.messages ?? []);
      this.#records.set(sequence, { digest, proxyId: writer.proxyId });
      this.#checkConfirmed(confirms);
      return;
    }
    const { entry, entryDigest, confirms } = parseOutcome(data, writer);
    this.#records.set(sequence, { digest, proxyId: undefined });
    this.#checkAbout(sequence, entry, entryDigest, writer.proxyId);
    this.#checkConfirmed(confirms);
  }

  /** Checks that the messages which a closing entry names exist before it. */
  #checkStreamed(closing: number, messages: readonly Confirmation[]): void {
    for (const { sequence, digest } of messages) {
      const found = this.#records.get(sequence);
      if (found?.digest === digest || sequence <= this.#letGo) continue;
      if (found === undefined && sequence + recordsKept <= this.#last && sequence < closing) continue;
      this.refuse(sequence, `sequence ${closing} closes a stream whose messages there were changed, moved or removed`);
    }
  }

  /** Checks that the records which a proxy confirmed are still where they were. */
  #checkConfirmed(confirms: readonly Confirmation[]): void {
    for (const { sequence, digest } of confirms) {
      if (sequence <= this.#letGo) continue;
      const found = this.#records.get(sequence);
      if (found?.digest === digest || (found === undefined && sequence + recordsKept <= this.#last)) continue;
      const now = this.#places.get(digest);
      const what = now === undefined ? "was changed or removed" : `was moved to sequence ${now}`;
      this.refuse(sequence, `what its writer confirmed to be there ${what}`);
    }
  }

  /**
   * Checks the entry that an outcome or resolution refers to. `proxyId`: the proxy that must have written the entry;
   * undefined for an operator's resolution, which may be about any entry.
   */
  #checkAbout(sequence: number, entry: number, digest: Digest | undefined, proxyId: string | undefined): void {
    const found = this.#records.get(entry);
    if (entry <= this.#letGo) return;
    if (found === undefined && entry + recordsKept <= this.#last) return;
    if (found === undefined || entry >= sequence || found.digest !== digest)
      this.refuse(
        entry,
        `sequence ${sequence} is about an entry there that is not what it was: changed, moved or removed`,
      );
    else if (proxyId !== undefined && proxyId !== found.proxyId)
      this.refuse(
        sequence,
        `it is the word of proxy ${proxyId} about an entry of ${found.proxyId}: it counts for nothing`,
      );
  }

  #checkSeal(seal: JournalSeal, at: number, where: string): void {
    const { service, from, through, chain } = seal;
    if (service !== this.#deps.service) throw new AshlarError("invalid_record", "it seals another journal");
    if (through >= at && where === "") throw new AshlarError("invalid_record", "it seals what came after it");
    const found = this.#chains.get(through);
    if (found === chain) {
      this.#seals += 1;
      this.#sealedThrough = Math.max(this.#sealedThrough, through);
      for (const sequence of this.#links.keys()) if (sequence <= through) this.#links.delete(sequence);
      return;
    }
    if (found === undefined && through + recordsKept <= this.#last) return;
    // a fault that was named before need not be named again
    if (this.#lastFault < from)
      this.refuse(
        from,
        `of sequences ${from} to ${through} one is not what was sealed${where}: changed, removed, moved or inserted`,
      );
    this.#resume(through, chain);
  }

  /** Continues the chain from the sealed value, so that the next seal is judged by its own messages alone. */
  #resume(through: number, sealed: Digest): void {
    let chain = sealed;
    this.#chains.set(through, chain);
    for (const [sequence, link] of this.#links) {
      if (sequence <= through) {
        this.#links.delete(sequence);
        continue;
      }
      chain = chainWith(chain, link);
      this.#chains.set(sequence, chain);
    }
    this.#chain = chain;
  }

  /**
   * Ends the journal and returns the verdict. `end`: the seal over all of it; undefined: it is missing; "empty": the
   * journal has no message to seal.
   */
  finish(end: Uint8Array | undefined | "empty"): JournalVerdict {
    if (end === "empty") return { messages: 0, entries: 0, seals: 0, sealedThrough: 0, faults: [...this.#faults] };
    if (end === undefined) this.refuse(this.#last, "the end is not signed: what came after it may have been cut off");
    else this.#finish(end);
    if (this.#letGo > 0 && !this.#saysLetGo)
      this.refuse(
        this.#letGo + 1,
        `that everything up to sequence ${this.#letGo} was let go is not said in the journal`,
      );
    const [messages, entries, seals, sealedThrough] = [this.#messages, this.#entries, this.#seals, this.#sealedThrough];
    return { messages, entries, seals, sealedThrough, faults: [...this.#faults] };
  }

  #finish(end: Uint8Array): void {
    try {
      const { body } = verifySeal(end, this.#deps.mesh, this.#deps.keys);
      const { through } = body;
      if (through > this.#last)
        this.refuse(this.#last + 1, `sequences ${this.#last + 1} to ${through} are missing: the end was cut off`);
      else if (through < this.#last)
        this.refuse(through + 1, `sequences ${through + 1} to ${this.#last} are under no signature: they were added`);
      else this.#checkSeal(body, through, " at the end");
    } catch (error) {
      this.refuse(this.#last, `the signature at the end does not hold: ${messageOf(error)}`);
    }
  }
}
