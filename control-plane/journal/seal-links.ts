/** The links of a journal's messages that were read for another purpose, so that to seal them nobody reads them again. */
import { BoundedMap } from "../../core/bounded-map.js";
import type { StoredMessage, StreamInfo } from "../../runtime/bus.js";

export interface SealLink {
  /** What the hash chain of seals has of the message. */
  readonly link: Uint8Array;
  readonly isSeal: boolean;
}

/** The most links that are kept for one journal. Each takes some 200 bytes. */
const linksMax = 40_000;

interface JournalLinks {
  /** Another time of creation is another stream, whose sequences say nothing of this one. */
  readonly created: string;
  readonly links: BoundedMap<number, SealLink>;
}

export class SealLinks {
  readonly #make: (message: StoredMessage) => SealLink;
  readonly #journals = new Map<string, JournalLinks>();

  constructor(make: (message: StoredMessage) => SealLink) {
    this.#make = make;
  }

  note(service: string, { created }: Pick<StreamInfo, "created">, message: StoredMessage): void {
    let journal = this.#journals.get(service);
    if (journal?.created !== created) {
      journal = { created, links: new BoundedMap(linksMax) };
      this.#journals.set(service, journal);
    }
    journal.links.set(message.sequence, this.#make(message));
  }

  find(service: string, { created }: Pick<StreamInfo, "created">, sequence: number): SealLink | undefined {
    const journal = this.#journals.get(service);
    return journal?.created === created ? journal.links.get(sequence) : undefined;
  }

  /** What is sealed up to there is not asked for again. */
  drop(service: string, through: number): void {
    const links = this.#journals.get(service)?.links ?? [];
    for (const [sequence] of links) {
      if (sequence > through) return;
      this.#journals.get(service)?.links.delete(sequence);
    }
  }
}
