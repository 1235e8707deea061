/** Finds out which of the given NATS servers answer: each is dialled, whatever others say about it. */
import type { Clock } from "../../runtime/clock.js";
import type { Problem } from "../fleet/problems.js";
import { readServerName } from "./nats-probe.js";

export interface NatsServersDeps {
  /** Returns their URLs. */
  readonly servers: () => readonly string[];
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Returns the name with which a server greets; undefined: it does not. */
  readonly greet?: typeof readServerName;
}

const lookMs = 5000;
/** The milliseconds after which a server counts as silent; one that is restarted is back within them. */
const silentMs = 15_000;
const serversMax = 32;
const natsPort = 4222;

/** Returns "HOST:PORT" of a server's URL. */
export function addressOf(url: string): string {
  const { hostname, port } = new URL(url.includes("://") ? url : `nats://${url}`);
  return `${hostname}:${port === "" ? natsPort : port}`;
}

/** Dials the server. Returns its name, or undefined if nothing greets there. */
export function greetAt(address: string, greet = readServerName): Promise<string | undefined> {
  const at = address.lastIndexOf(":");
  return greet(address.slice(0, at).replace(/^\[|\]$/g, ""), Number(address.slice(at + 1)));
}

export class NatsServers {
  readonly #deps: NatsServersDeps;
  /** Since when each server has not greeted. */
  readonly #silent = new Map<string, number>();

  /** Looks every five seconds until `signal` aborts. */
  constructor(deps: NatsServersDeps, signal: AbortSignal) {
    this.#deps = deps;
    void (async () => {
      while (!signal.aborted) {
        await this.look();
        await deps.clock.sleep(lookMs, signal);
      }
    })();
  }

  /** Looks once. Never rejects. */
  async look(): Promise<void> {
    const { servers, greet, clock } = this.#deps;
    const told = [...new Set(servers().map(addressOf))].slice(0, serversMax);
    // A single server is not dialled: the connection itself shows its state. If none greets, `nats-away` reports it, or
    // the servers expect TLS first.
    const names = told.length < 2 ? [] : await Promise.all(told.map((address) => greetAt(address, greet)));
    const isTelling = names.some((name) => name !== undefined);
    for (const [index, address] of told.entries()) {
      if (!isTelling || names[index] !== undefined) this.#silent.delete(address);
      else if (!this.#silent.has(address)) this.#silent.set(address, clock.monotonicMs());
    }
    for (const address of this.#silent.keys()) if (!told.includes(address)) this.#silent.delete(address);
  }

  /** The number of servers that have not answered for a while. */
  get silent(): number {
    return this.#gone().length;
  }

  problems(): readonly Problem[] {
    return this.#gone().map(({ address, forMs }) => ({
      code: "nats-server-silent",
      message:
        `NATS server ${address} has not answered for ${Math.round(forMs / 1000)} s: the mesh goes on with the others, and ` +
        "stores nothing once half of a cluster is gone; start it again, or see that this control plane reaches it",
      subject: address,
    }));
  }

  #gone(): readonly { readonly address: string; readonly forMs: number }[] {
    const nowMs = this.#deps.clock.monotonicMs();
    return [...this.#silent]
      .map(([address, sinceMs]) => ({ address, forMs: nowMs - sinceMs }))
      .filter(({ forMs }) => forMs >= silentMs);
  }
}
