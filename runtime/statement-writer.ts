/** Signs what this proxy says of itself (decision 0026). */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { leafDigest, type StatementKind, signStatement, statementHeader } from "../core/wire/statement.js";
import type { Clock } from "./clock.js";
import { fromPem } from "./tls-identity-keys.js";

/** Whose word it is; another object after each renewal. */
export interface StatementIdentity {
  readonly mesh: string;
  /** PEM, leaf first. */
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}

export interface StatementWriterDeps {
  readonly identity: { readonly current: StatementIdentity };
  readonly clock: Pick<Clock, "nowMs">;
}

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

  /** `floor`: no counter of an earlier life was above it. */
  constructor(deps: StatementWriterDeps, floor = 0) {
    this.#deps = deps;
    this.#counter = floor;
  }

  /** The last counter that was used; the next is above it, and above the time in milliseconds. */
  get counter(): number {
    return this.#counter;
  }

  /** The headers that go with `body`. */
  sign(kind: StatementKind, body: Uint8Array): Readonly<Record<string, string>> {
    const { identity, clock } = this.#deps;
    const timeMs = Math.max(0, Math.round(clock.nowMs()));
    this.#counter = Math.max(this.#counter + 1, timeMs);
    const { mesh } = identity.current;
    const said = { kind, mesh, counter: this.#counter, timeMs, body };
    return { [statementHeader]: signStatement(said, this.#prepare(identity.current)) };
  }

  #prepare(identity: StatementIdentity): Prepared {
    if (this.#prepared?.identity === identity) return this.#prepared;
    const chain = fromPem(identity.certificateChainPem);
    const leaf = leafDigest(chain[0] ?? new Uint8Array());
    this.#prepared = { identity, chain, leaf, key: createPrivateKey(identity.privateKeyPem) };
    return this.#prepared;
  }
}
