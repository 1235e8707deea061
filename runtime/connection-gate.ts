/**
 * The gate in front of a listener. It bounds how many connections there may be, in all and from one network, and how
 * long a peer may take to prove who it is. Peers with a proven identity are counted apart from strangers and never
 * dropped to make room for them, so strangers cannot keep known peers out. The gate only decides; it reads and writes
 * nothing.
 */

export interface GateLimits {
  /** The most connections at once whose peer is not known. */
  readonly strangersMax: number;
  /** The most strangers from one address (IPv6: from one /64). */
  readonly strangersOfAddressMax: number;
  /** The most connections at once whose peer is known. */
  readonly knownMax: number;
  /** The most connections at once with one certificate, so that a thief of a certificate keeps nobody else out. */
  readonly knownOfOneMax: number;
  /** The milliseconds after which a stranger is dropped. */
  readonly strangerMsMax: number;
}

/** A connection, as far as the gate needs it. */
export interface GatedConnection {
  readonly address: string;
  destroy(): void;
}

interface Held {
  readonly connection: GatedConnection;
  readonly network: string;
  readonly sinceMs: number;
}

/** Counts since the start, for people and tests. */
export interface GateCounts {
  readonly strangers: number;
  readonly known: number;
  /** Connections that were dropped to make room, or because their time was over. */
  readonly dropped: number;
}

export class ConnectionGate {
  readonly #limits: GateLimits;
  readonly #nowMs: () => number;
  /** The connections of strangers, oldest first. */
  readonly #strangers = new Map<GatedConnection, Held>();
  readonly #ofNetwork = new Map<string, number>();
  /** The connections of known peers, with the name that each has proved. */
  readonly #known = new Map<GatedConnection, string>();
  readonly #ofName = new Map<string, number>();
  #dropped = 0;

  constructor(limits: GateLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  get counts(): GateCounts {
    return { strangers: this.#strangers.size, known: this.#known.size, dropped: this.#dropped };
  }

  /** Admits a new connection. If there is no room, drops the oldest stranger of the network with the most strangers. */
  admit(connection: GatedConnection): void {
    const network = networkOf(connection.address);
    if ((this.#ofNetwork.get(network) ?? 0) >= this.#limits.strangersOfAddressMax) this.#dropOldestOf(network);
    else if (this.#strangers.size >= this.#limits.strangersMax) this.#dropOldestOf(this.#greediest());
    this.#strangers.set(connection, { connection, network, sinceMs: this.#nowMs() });
    this.#ofNetwork.set(network, (this.#ofNetwork.get(network) ?? 0) + 1);
  }

  /**
   * Counts the peer as known by `name` from now on. Returns false and drops the connection if there are too many known
   * peers, in all or with that name.
   */
  prove(connection: GatedConnection, name: string): boolean {
    if (this.#known.has(connection)) return true; // the connection keeps the name that it proved first
    this.#forget(connection);
    const ofName = this.#ofName.get(name) ?? 0;
    if (this.#known.size >= this.#limits.knownMax || ofName >= this.#limits.knownOfOneMax) {
      this.#drop(connection);
      return false;
    }
    this.#known.set(connection, name);
    this.#ofName.set(name, ofName + 1);
    return true;
  }

  /** Notes that a connection has ended. */
  ended(connection: GatedConnection): void {
    const name = this.#known.get(connection);
    if (name !== undefined) {
      this.#known.delete(connection);
      subtractOne(this.#ofName, name);
    }
    this.#forget(connection);
  }

  /** Drops strangers whose time is over. Must be called about once a second. */
  sweep(): void {
    const before = this.#nowMs() - this.#limits.strangerMsMax;
    for (const { connection, sinceMs } of this.#strangers.values()) {
      if (sinceMs > before) return;
      this.#drop(connection);
    }
  }

  /** Drops all connections. */
  close(): void {
    for (const connection of [...this.#strangers.keys(), ...this.#known.keys()]) this.#drop(connection);
  }

  #greediest(): string {
    let [greediest, most] = ["", 0];
    for (const [network, count] of this.#ofNetwork) if (count > most) [greediest, most] = [network, count];
    return greediest;
  }

  #dropOldestOf(network: string): void {
    for (const { connection, network: of } of this.#strangers.values()) {
      if (of !== network) continue;
      this.#drop(connection);
      return;
    }
  }

  #drop(connection: GatedConnection): void {
    this.#dropped += 1;
    this.ended(connection);
    connection.destroy();
  }

  #forget(connection: GatedConnection): void {
    const held = this.#strangers.get(connection);
    if (held === undefined) return;
    this.#strangers.delete(connection);
    subtractOne(this.#ofNetwork, held.network);
  }
}

function subtractOne(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1;
  if (left === 0) counts.delete(key);
  else counts.set(key, left);
}

/**
 * Returns the IPv4 address of a peer, or the first 64 bits of its IPv6 address, because a peer usually owns all
 * addresses of such a network.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  return [...first, ...Array.from({ length: zeros }, () => "0"), ...last].slice(0, 4).join(":");
}
