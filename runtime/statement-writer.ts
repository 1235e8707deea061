/** Signs the statements of this proxy (decision 0026). */
import { createPrivateKey, type KeyObject, randomBytes } from "node:crypto";
import { AshlarError } from "../core/errors.js";
import {
  leafDigest,
  linkBytes,
  makeLinks,
  type StatementKind,
  signStatement,
  statementHeaders,
} from "../core/wire/statement.js";
import type { Clock } from "./clock.js";
import { fromPem } from "./tls-identity-keys.js";

/** The identity that signs. Each renewal replaces the object. */
export interface StatementIdentity {
  readonly mesh: string;
  /** The certificate chain in PEM, leaf first. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}

export interface StatementWriterDeps {
  readonly identity: { readonly current: StatementIdentity };
  readonly clock: Pick<Clock, "nowMs">;
}

/** The number of links that are created at a time. */
const linksMade = 4096;
const noLink = new Uint8Array();

interface Prepared {
  readonly identity: StatementIdentity;
  readonly chain: readonly Uint8Array[];
  readonly leaf: Uint8Array;
  readonly key: KeyObject;
}

export class StatementWriter {
  readonly #deps: StatementWriterDeps;
  #prepared: Prepared | undefined;
  #counter: number;
  #links: Uint8Array = noLink;
  #linkBytesUsed = 0;

  /** `floor`: the highest counter that an earlier run of the proxy can have used. */
  constructor(deps: StatementWriterDeps, floor = 0) {
    this.#deps = deps;
    this.#counter = floor;
  }

  #ceiling = Number.MAX_SAFE_INTEGER;

  /** The last counter that was used. The next one is above it, and above the time in milliseconds. */
  get counter(): number {
    return this.#counter;
  }

  /** Forbids counters above `counter`, because a successor of this process begins there. */
  endAt(counter: number): void {
    this.#ceiling = counter;
  }

  /** Returns the headers that go with `body`. Fails with `stale` once the counters of this process are used up. */
  sign(kind: StatementKind, body: Uint8Array): Readonly<Record<string, string>> {
    const { identity, clock } = this.#deps;
    const timeMs = Math.max(0, Math.round(clock.nowMs()));
    const counter = Math.max(this.#counter + 1, timeMs);
    if (counter > this.#ceiling) throw new AshlarError("stale", "a successor of this process makes its statements");
    this.#counter = counter;
    const { mesh } = identity.current;
    const link = kind === "heartbeat" ? this.#nextLink() : noLink;
    const said = { kind, mesh, counter, timeMs, link, body };
    return statementHeaders(signStatement(said, this.#prepare(identity.current)));
  }

  #nextLink(): Uint8Array {
    if (this.#linkBytesUsed >= this.#links.length) {
      this.#links = makeLinks(randomBytes(linkBytes), linksMade);
      this.#linkBytesUsed = 0;
    }
    this.#linkBytesUsed += linkBytes;
    return this.#links.slice(this.#linkBytesUsed - linkBytes, this.#linkBytesUsed);
  }

  #prepare(identity: StatementIdentity): Prepared {
    if (this.#prepared?.identity === identity) return this.#prepared;
    const chain = fromPem(identity.certificateChainPem);
    const leaf = leafDigest(chain[0] ?? new Uint8Array());
    this.#prepared = { identity, chain, leaf, key: createPrivateKey(identity.privateKeyPem) };
    return this.#prepared;
  }
}
