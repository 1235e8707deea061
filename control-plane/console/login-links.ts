/** Links that log an operator in to the console: each works once, for two minutes. */
import { createHash } from "node:crypto";
import type { SpiffeId } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";

/** The operator that a link or a session stands for. */
export interface SessionOperator {
  readonly id: SpiffeId;
  /** The serial number of the operator's certificate; if it is revoked, the session ends. */
  readonly certificateSerial: string;
  readonly certificateExpiresMs: number;
  /** True if the session may read and not change anything. */
  readonly readOnly: boolean;
}

/** The state of a link: whom it logs in, or that it was used before. */
export type LinkState =
  | { readonly kind: "open"; readonly operator: SessionOperator }
  | { readonly kind: "used"; readonly timeMs: number; readonly source: string }
  | { readonly kind: "unknown" };

interface Link {
  readonly operator: SessionOperator;
  readonly expiresMs: number;
  used: { readonly timeMs: number; readonly source: string } | undefined;
}

export interface LoginLinksDeps {
  readonly clock: Pick<Clock, "nowMs">;
  readonly random: (count: number) => Uint8Array;
}

export const linkMs = 120_000;
const tokenBytes = 32;
/** The most links, used and open together; above it the oldest is dropped. */
const linksMax = 256;
const linksOfOperatorMax = 16;

/** Returns the hash that is kept of a secret, so that somebody who reads the memory later cannot use the secret. */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

export function newSecret(random: LoginLinksDeps["random"]): string {
  return Buffer.from(random(tokenBytes)).toString("base64url");
}

export class LoginLinks {
  readonly #deps: LoginLinksDeps;
  /** The links by the hash of their token, oldest first. */
  readonly #links = new Map<string, Link>();

  constructor(deps: LoginLinksDeps) {
    this.#deps = deps;
  }

  create(operator: SessionOperator): { readonly token: string; readonly expiresMs: number } {
    const own = [...this.#links].filter(([, link]) => link.operator.id === operator.id);
    const [oldestOwn] = own.length >= linksOfOperatorMax ? own : [];
    const oldest = oldestOwn?.[0] ?? (this.#links.size >= linksMax ? this.#links.keys().next().value : undefined);
    if (oldest !== undefined) this.#links.delete(oldest);
    const token = newSecret(this.#deps.random);
    const expiresMs = this.#deps.clock.nowMs() + linkMs;
    this.#links.set(hashOf(token), { operator, expiresMs, used: undefined });
    return { token, expiresMs };
  }

  /** Looks a link up without using it. */
  find(token: string): LinkState {
    const link = this.#links.get(hashOf(token));
    if (link?.used !== undefined) return { kind: "used", ...link.used };
    if (link === undefined || this.#deps.clock.nowMs() >= link.expiresMs) return { kind: "unknown" };
    return { kind: "open", operator: link.operator };
  }

  /** Uses an open link: a second call does not get it as open. */
  take(token: string, source: string): LinkState {
    const state = this.find(token);
    const link = this.#links.get(hashOf(token));
    if (state.kind === "open" && link !== undefined) link.used = { timeMs: this.#deps.clock.nowMs(), source };
    return state;
  }

  /** Drops the links of an operator. */
  endOf(id: SpiffeId): void {
    for (const [hash, { operator }] of this.#links) if (operator.id === id) this.#links.delete(hash);
  }
}
