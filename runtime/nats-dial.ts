/** Connects the client to NATS, and recognises failures that mean that the server refuses our user. */
import { connect, ErrorCode, type NatsConnection, NatsError } from "nats";
import { messageOf } from "../core/errors.js";
import { Backoff } from "./backoff.js";
import type { Clock } from "./clock.js";
import type { Logger } from "./log.js";
import { openPair } from "./nats-signer.js";
import { renderTls } from "./nats-tls.js";

export interface NatsOptions {
  /** "nats://HOST:PORT" or "tls://HOST:PORT", tried in random order; a function is asked at each dial. */
  readonly servers: readonly string[] | (() => readonly string[]);
  /** The newest user JWT and its seed; asked for at every (re)connection. */
  readonly jwt: () => string;
  readonly seed: () => string;
  /** The prefix of subjects for answers, which the JWT must allow. */
  readonly inboxPrefix: string;
  /** For people, in the server's logs. */
  readonly name: string;
  /** Roots for "tls://"; without it those of the system. */
  readonly caPem?: string | (() => string | undefined) | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** A request without an answer fails after this; default 5000. */
  readonly timeoutMs?: number;
  /** Closes the bus when it aborts. */
  readonly signal?: AbortSignal;
}

export const reconnectDelay = { msMin: 50, msMax: 2000 };

/** Connects to where NATS is when it is asked. */
export class NatsDialler {
  readonly #options: NatsOptions;
  /** Where it dialled last. */
  servers: readonly string[] = [];
  #caPem: string | undefined;

  constructor(options: NatsOptions) {
    this.#options = options;
  }

  /** Whether NATS is elsewhere than it was at the last dial. */
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

  /** One connection that reconnects by itself, to the servers that it was made with. */
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
      ignoreAuthErrorAbort: true, // a JWT that expired is replaced by the next one
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

/** What a user sends with CONNECT: its JWT, and the signature by its own key over what the server said. */
function proveUser(
  jwt: string,
  seed: string,
  nonce = "",
): { readonly jwt: string; readonly nkey: string; readonly sig: string } {
  const pair = openPair(seed);
  const sig = nonce === "" ? "" : Buffer.from(pair.sign(Buffer.from(nonce))).toString("base64");
  return { jwt, nkey: pair.getPublicKey(), sig };
}

/** Errors of a server that refuses the user. */
const refusals: ReadonlySet<string> = new Set([
  ErrorCode.AuthorizationViolation,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AccountExpired,
]);

export const refusalMessage =
  "NATS refuses our credentials: is the account known there, is its key the right one, is the clock right?";

/** What the server said against our user, in a failure of the client or the code of one; undefined: it is another failure. */
export function refusalIn(failure: unknown): string | undefined {
  if (typeof failure === "string") return refusals.has(failure) ? failure : undefined;
  return failure instanceof NatsError && refusals.has(failure.code) ? messageOf(failure) : undefined;
}
