/**
 * Counts answers to strangers that are not read yet, in bytes, for each network (IPv6: one /64) and in all. If there is
 * no room, the oldest answer of the network with the most bytes is dropped with its connection, so that those who read
 * are answered. Pure: a given answer may be dropped at once.
 */
export interface UnreadLimits {
  readonly bytesMax: number;
  readonly bytesOfNetworkMax: number;
}

export interface UnreadAnswer {
  readonly network: string;
  readonly bytes: number;
  /** Ends the connection whose peer does not read. */
  drop(): void;
}

export class UnreadAnswers {
  readonly #limits: UnreadLimits;
  /** The answers, oldest first. */
  readonly #answers = new Set<UnreadAnswer>();
  readonly #ofNetwork = new Map<string, number>();
  #bytes = 0;

  constructor(limits: UnreadLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Holds an answer until `release`. An answer that is larger than a limit is held alone. */
  hold(answer: UnreadAnswer): void {
    const { network, bytes } = answer;
    const { bytesMax, bytesOfNetworkMax } = this.#limits;
    while ((this.#ofNetwork.get(network) ?? 0) + bytes > bytesOfNetworkMax && this.#dropOldestOf(network));
    while (this.#bytes + bytes > bytesMax && this.#dropOldestOf(this.#greediest()));
    this.#answers.add(answer);
    this.#add(network, bytes);
  }

  /** Releases an answer that was read, whose connection ended, or whose time is over. */
  release(answer: UnreadAnswer): void {
    if (this.#answers.delete(answer)) this.#add(answer.network, -answer.bytes);
  }

  #add(network: string, bytes: number): void {
    this.#bytes += bytes;
    const held = (this.#ofNetwork.get(network) ?? 0) + bytes;
    if (held === 0) this.#ofNetwork.delete(network);
    else this.#ofNetwork.set(network, held);
  }

  #greediest(): string {
    let [greediest, most] = ["", 0];
    for (const [network, bytes] of this.#ofNetwork) if (bytes > most) [greediest, most] = [network, bytes];
    return greediest;
  }

  #dropOldestOf(network: string): boolean {
    for (const answer of this.#answers) {
      if (answer.network !== network) continue;
      this.release(answer);
      answer.drop();
      return true;
    }
    return false;
  }
}
