/**
 * What stands in front of a listener before anybody is known: how many connections there may be, of one address too, and
 * how long one may take to say who it is. Who has proved an identity is not counted with the others, nor dropped for
 * them, so that strangers keep nobody out who is known. The gate decides; it reads and writes nothing.
 */

export interface GateLimits {
  /** Connections whose peer is not known, at once. */
  readonly strangersMax: number;
  /** The most strangers from one address (IPv6: from one /64). */
  readonly strangersOfAddressMax: number;
  /** Connections whose peer is known, at once. */
  readonly knownMax: number;
  /** Connections with the same certificate, at once: whoever stole it keeps nobody out who has another. */
  readonly knownOfOneMax: number;
  /** A stranger is dropped after so long; milliseconds. */
  readonly strangerMsMax: number;
}

/** The gate's data about a connection. */
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
  /** Oldest first. */
  readonly #strangers = new Map<GatedConnection, Held>();
  readonly #ofNetwork = new Map<string, number>();
  /** Each with the name that it proved. */
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

  /** Takes a new connection. Where there is no room, the oldest stranger of the network that has most makes it. */
  admit(connection: GatedConnection): void {
    const network = networkOf(connection.address);
    if ((this.#ofNetwork.get(network) ?? 0) >= this.#limits.strangersOfAddressMax) this.#dropOldestOf(network);
    else if (this.#strangers.size >= this.#limits.strangersMax) this.#dropOldestOf(this.#greediest());
    this.#strangers.set(connection, { connection, network, sinceMs: this.#nowMs() });
    this.#ofNetwork.set(network, (this.#ofNetwork.get(network) ?? 0) + 1);
  }

  /** The peer is known from now on as `name`; false: too many are, in all or of that name, and this one is dropped. */
  prove(connection: GatedConnection, name: string): boolean {
    if (this.#known.has(connection)) return true; // it stays counted by the name that it proved first
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

  /** The connection has ended. */
  ended(connection: GatedConnection): void {
    const name = this.#known.get(connection);
    if (name !== undefined) {
      this.#known.delete(connection);
      subtractOne(this.#ofName, name);
    }
    this.#forget(connection);
  }

  /** Drops unknown connections whose time is over. Must be called about every second. */
  sweep(): void {
    const before = this.#nowMs() - this.#limits.strangerMsMax;
    for (const { connection, sinceMs } of this.#strangers.values()) {
      if (sinceMs > before) return;
      this.#drop(connection);
    }
  }

  /** Drops everything. */
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

/** The address of an IPv4 peer, the first 64 bits of an IPv6 peer's: whoever has one of those has them all. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  return [...first, ...Array.from({ length: zeros }, () => "0"), ...last].slice(0, 4).join(":");
}
