/** Links that log an operator in to the console: each works once, for two minutes. */
import { createHash } from "node:crypto";
import type { SpiffeId } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";

/** Who a link or a session stands for. */
export interface SessionOperator {
  readonly id: SpiffeId;
  /** The serial number of the certificate that the operator came with; revoked, the session ends. */
  readonly certificateSerial: string;
  readonly certificateExpiresMs: number;
  /** True: may look and change nothing. */
  readonly readOnly: boolean;
}

/** What is known of a link: whom it logs in, or that it was used before. */
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
/** Used and open ones together; the oldest goes. */
const linksMax = 256;
const linksOfOperatorMax = 16;

/** What is kept of a secret: whoever reads the memory of it later cannot use it. */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

export function newSecret(random: LoginLinksDeps["random"]): string {
  return Buffer.from(random(tokenBytes)).toString("base64url");
}

export class LoginLinks {
  readonly #deps: LoginLinksDeps;
  /** By the hash of the token; oldest first. */
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

  /** Looks without using it. */
  find(token: string): LinkState {
    const link = this.#links.get(hashOf(token));
    if (link?.used !== undefined) return { kind: "used", ...link.used };
    if (link === undefined || this.#deps.clock.nowMs() >= link.expiresMs) return { kind: "unknown" };
    return { kind: "open", operator: link.operator };
  }

  /** Uses an open link: no second call gets it as open. */
  take(token: string, source: string): LinkState {
    const state = this.find(token);
    const link = this.#links.get(hashOf(token));
    if (state.kind === "open" && link !== undefined) link.used = { timeMs: this.#deps.clock.nowMs(), source };
    return state;
  }

  /** Forgets the links of an operator. */
  endOf(id: SpiffeId): void {
    for (const [hash, { operator }] of this.#links) if (operator.id === id) this.#links.delete(hash);
  }
}
