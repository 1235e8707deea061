/** Connects the NATS client, and recognizes failures that mean that the server refuses our user. */
import { connect, ErrorCode, type NatsConnection, NatsError } from "nats";
import { messageOf } from "../core/errors.js";
import { Backoff } from "./backoff.js";
import type { Clock } from "./clock.js";
import type { Logger } from "./log.js";
import { openPair } from "./nats-signer.js";
import { renderTls } from "./nats-tls.js";

export interface NatsOptions {
  /** "nats://HOST:PORT" or "tls://HOST:PORT", tried in random order. A function is called at each dial. */
  readonly servers: readonly string[] | (() => readonly string[]);
  /** Returns the newest user JWT (and its seed); called at every connection and reconnection. */
  readonly jwt: () => string;
  readonly seed: () => string;
  /** The prefix of the subjects for answers, which the JWT must allow. */
  readonly inboxPrefix: string;
  /** The name of the connection in the server's logs. */
  readonly name: string;
  /** Root certificates for "tls://"; without it those of the system. */
  readonly caPem?: string | (() => string | undefined) | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** The milliseconds after which a request without an answer fails; 5000 by default. */
  readonly timeoutMs?: number;
  /** Closes the bus when it aborts. */
  readonly signal?: AbortSignal;
}

export const reconnectDelay = { msMin: 50, msMax: 2000 };

/** Connects to the servers that are current at each dial. */
export class NatsDialler {
  readonly #options: NatsOptions;
  /** The servers that were dialled last. */
  servers: readonly string[] = [];
  #caPem: string | undefined;

  constructor(options: NatsOptions) {
    this.#options = options;
  }

  /** Whether the servers have changed since the last dial. */
  get hasMoved(): boolean {
    const { servers, caPem } = this.#place();
    return caPem !== this.#caPem || [...servers].sort().join() !== [...this.servers].sort().join();
  }

  #place(): { readonly servers: readonly string[]; readonly caPem: string | undefined } {
    const { servers, caPem } = this.#options;
    return {
      servers: typeof servers === "function" ? servers() : servers,
      caPem: typeof caPem === "function" ? caPem() : caPem,
    };
  }

  /** Opens one connection, which reconnects by itself to the servers that it was made with. */
  dial(timeoutMs: number): Promise<NatsConnection> {
    const { jwt, seed, inboxPrefix, name, random } = this.#options;
    const { servers, caPem } = this.#place();
    [this.servers, this.#caPem] = [servers, caPem];
    const backoff = new Backoff(reconnectDelay, random);
    return connect({
      servers: [...servers],
      authenticator: (nonce) => proveUser(jwt(), seed(), nonce),
      inboxPrefix,
      name,
      reconnect: true,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true, // an expired JWT is replaced by the next one
      reconnectDelayHandler: () => backoff.nextMs(),
      pingInterval: 10_000,
      maxPingOut: 2,
      timeout: timeoutMs,
      ...(caPem === undefined && !servers.some((server) => server.startsWith("tls:"))
        ? {}
        : { tls: renderTls(servers, caPem) }),
    });
  }
}

/** Returns what a user sends with CONNECT: its JWT, and its key's signature over the server's nonce. */
function proveUser(
  jwt: string,
  seed: string,
  nonce = "",
): { readonly jwt: string; readonly nkey: string; readonly sig: string } {
  const pair = openPair(seed);
  const sig = nonce === "" ? "" : Buffer.from(pair.sign(Buffer.from(nonce))).toString("base64");
  return { jwt, nkey: pair.getPublicKey(), sig };
}

/** The errors by which a server refuses the user. */
const refusals: ReadonlySet<string> = new Set([
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AccountExpired,
]);

export const refusalMessage =
  "NATS refuses our credentials: is the account known there, is its key the right one, is the clock right?";

/**
 * Returns the server's refusal of our user in a failure or error code of the client, or undefined if it is another
 * failure.
 */
export function refusalIn(failure: unknown): string | undefined {
  if (typeof failure === "string") return refusals.has(failure) ? failure : undefined;
  return failure instanceof NatsError && refusals.has(failure.code) ? messageOf(failure) : undefined;
}
