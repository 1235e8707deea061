/**
 * Takes back from proxies what the logs lost (decision 0014). A proxy states what it holds. What is missing is
 * requested in the order in which it can be judged: trust, activations, revisions, plans, then the lists of the known
 * revisions and the units in those lists. A record passes the log's own checks, and a unit counts by its digest.
 * Nothing is accepted that was not requested.
 */
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import {
  type HeldParts,
  type OfferContent,
  type OfferedLog,
  type OfferedPiece,
  offeredLogs,
  wantedMax,
} from "../../core/wire/offers.js";
import { parseSnapshotList } from "../../core/wire/units.js";
import type { Clock } from "../../runtime/clock.js";
import type { Ledger } from "../store/ledger.js";

export interface OfferDeskDeps {
  readonly ledger: Pick<Ledger, OfferedLog | "blobs">;
  /** Returns whether a log may continue past records that nobody gives back. */
  readonly mayGoPast: (log: OfferedLog) => boolean;
  readonly clock: Clock;
}

/** What a proxy has given back since it began its offer. */
export interface GivenBack {
  readonly records: Readonly<Record<OfferedLog, number>>;
  readonly blobs: number;
}

export interface OfferStep {
  /** The digests to send next; empty: nothing more is wanted. */
  readonly wanted: readonly Digest[];
  readonly given: GivenBack;
}

interface Offer {
  readonly proxyId: string;
  readonly held: HeldParts;
  readonly absent: Set<Digest>;
  wanted: readonly Digest[];
  /** A record or unit that arrives in pieces. */
  whole: { readonly digest: Digest; readonly bytes: Uint8Array; filled: number } | undefined;
  readonly records: Record<OfferedLog, number>;
  blobs: number;
  /** The digests in the lists of known revisions; computed once, after the logs. */
  relevant: Set<Digest> | undefined;
  atMs: number;
}

const offersMax = 32;
const idleMs = 30_000;
/** The number of newest revisions whose lists and units are taken back, which is as many as a proxy keeps. */
const revisionsMax = 32;
const recordBytesMax = 1024 * 1024;

export class OfferDesk {
  readonly #deps: OfferDeskDeps;
  readonly #offers = new Map<string, Offer>();

  constructor(deps: OfferDeskDeps) {
    this.#deps = deps;
  }

  /**
   * Takes one step of a proxy's offer. Fails with `limit` while too many others offer, with `stale` without a first
   * step, and with `invalid_record` on bytes that were not requested or do not verify; the offer then ends.
   */
  async take(proxyId: string, content: OfferContent): Promise<OfferStep> {
    const offer = content.held === undefined ? this.#find(proxyId) : this.#begin(proxyId, content.held);
    offer.atMs = this.#deps.clock.monotonicMs();
    try {
      for (const digest of content.absent) offer.absent.add(digest);
      await this.#takePieces(offer, content.pieces);
      offer.wanted = await this.#wantedOf(offer);
    } catch (error) {
      this.#offers.delete(proxyId);
      throw error;
    }
    if (offer.wanted.length === 0) this.#offers.delete(proxyId);
    return { wanted: offer.wanted, given: { records: { ...offer.records }, blobs: offer.blobs } };
  }

  #find(proxyId: string): Offer {
    const offer = this.#offers.get(proxyId);
    if (offer === undefined) throw new AshlarError("stale", "the offer is over: begin a new one");
    return offer;
  }

  #begin(proxyId: string, held: HeldParts): Offer {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [id, { atMs }] of this.#offers) if (nowMs - atMs > idleMs) this.#offers.delete(id);
    if (this.#offers.size >= offersMax && !this.#offers.has(proxyId))
      throw new AshlarError("limit", `${offersMax} proxies offer what they hold already: try again in a moment`);
    const records = { trust: 0, activations: 0, revisions: 0, rollouts: 0 };
    const begun = { wanted: [], whole: undefined, blobs: 0, relevant: undefined, atMs: nowMs };
    const offer: Offer = { proxyId, held, absent: new Set(), records, ...begun };
    this.#offers.set(proxyId, offer);
    return offer;
  }

  async #takePieces(offer: Offer, pieces: readonly OfferedPiece[]): Promise<void> {
    const records: Record<OfferedLog, Uint8Array[]> = { trust: [], activations: [], revisions: [], rollouts: [] };
    for (const piece of pieces) {
      const bytes = assemble(offer, piece);
      if (bytes === undefined) continue;
      const log = offeredLogs.find((name) => offer.held[name].some(({ digest }) => digest === piece.digest));
      if (log === undefined) {
        await this.#deps.ledger.blobs.put(bytes);
        offer.blobs += 1;
      } else records[log].push(bytes);
      offer.absent.add(piece.digest); // it is requested once, whatever becomes of it
    }
    for (const log of offeredLogs) {
      if (records[log].length === 0) continue;
      offer.records[log] += await this.#deps.ledger[log].recover(records[log], this.#deps.mayGoPast(log));
    }
  }

  async #wantedOf(offer: Offer): Promise<readonly Digest[]> {
    const { ledger } = this.#deps;
    for (const log of offeredLogs) {
      const lacking = offer.held[log]
        .map(({ digest }) => digest)
        .filter((digest) => !offer.absent.has(digest) && !ledger[log].has(digest));
      if (lacking.length > 0) return lacking.slice(0, wantedMax);
    }
    const lists = await this.#lackingBlobs(offer, new Set(this.#recent().map(({ body }) => body.snapshot)));
    if (lists.length > 0) return lists;
    offer.relevant ??= await this.#unitsOfRecent();
    return this.#lackingBlobs(offer, offer.relevant);
  }

  async #lackingBlobs(offer: Offer, relevant: ReadonlySet<Digest>): Promise<readonly Digest[]> {
    const lacking: Digest[] = [];
    for (const digest of offer.held.blobs) {
      if (!relevant.has(digest) || offer.absent.has(digest) || lacking.length >= wantedMax) continue;
      if ((await this.#deps.ledger.blobs.get(digest)) === undefined) lacking.push(digest);
      else offer.absent.add(digest); // it is here, so it is not looked for again
    }
    return lacking;
  }

  #recent() {
    const { revisions } = this.#deps.ledger;
    return [...revisions.list().slice(-revisionsMax), ...revisions.conflicts().map(({ rival }) => rival)];
  }

  async #unitsOfRecent(): Promise<Set<Digest>> {
    const units = new Set<Digest>();
    for (const { body } of this.#recent()) {
      const bytes = await this.#deps.ledger.blobs.get(body.snapshot);
      if (bytes === undefined) continue;
      for (const { digest } of parseSnapshotList(bytes, body.snapshot).units) units.add(digest);
    }
    return units;
  }
}

/** Returns the complete bytes once the last piece has arrived, checked by digest. */
function assemble(offer: Offer, { digest, size, offset, data }: OfferedPiece): Uint8Array | undefined {
  const refuse = (why: string): never => {
    throw new AshlarError("invalid_record", `offer: ${digest}: ${why}`);
  };
  if (!offer.wanted.includes(digest)) return refuse("was not asked for");
  if (size > recordBytesMax && !offer.held.blobs.includes(digest)) return refuse(`${size} bytes are no record`);
  if (offset === 0) offer.whole = { digest, bytes: new Uint8Array(size), filled: 0 };
  const { whole } = offer;
  if (whole === undefined || whole.digest !== digest || whole.bytes.length !== size || whole.filled !== offset)
    return refuse("the pieces do not follow one another");
  if (data.length === 0) return refuse("an empty piece");
  whole.bytes.set(data, offset);
  whole.filled += data.length;
  if (whole.filled < size) return undefined;
  offer.whole = undefined;
  return digestOf(whole.bytes) === digest ? whole.bytes : refuse("the bytes do not have that digest");
}
