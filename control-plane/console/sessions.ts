/** Sessions of the console: short and few. They end as soon as the operator's certificate is revoked. */
import type { SpiffeId } from "../../core/identity.js";
import type { Revocation } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import { hashOf, newSecret, type SessionOperator } from "./login-links.js";

export interface Session {
  readonly operator: SessionOperator;
  readonly expiresMs: number;
  /** Aborts when the session ends. */
  readonly ended: AbortSignal;
}

interface Held extends Session {
  readonly end: AbortController;
  lastUsedMs: number;
}

export interface SessionsDeps {
  readonly clock: Pick<Clock, "nowMs">;
  readonly random: (count: number) => Uint8Array;
  readonly revocations: () => readonly Revocation[];
}

export const sessionMsMax = 8 * 3_600_000;
/** The longest time without a request or an open page, in milliseconds. */
export const idleMsMax = 15 * 60_000;
const sessionsMax = 256;
const sessionsOfOperatorMax = 16;

export class Sessions {
  readonly #deps: SessionsDeps;
  /** The sessions by the hash of the cookie's value, oldest first. */
  readonly #sessions = new Map<string, Held>();

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Begins a session. If there are too many, the operator's oldest session ends, or else the oldest of all. */
  begin(operator: SessionOperator): { readonly cookie: string; readonly session: Session } {
    this.sweep();
    const own = [...this.#sessions].filter(([, session]) => session.operator.id === operator.id);
    if (own.length >= sessionsOfOperatorMax) this.#end(own[0]?.[0]);
    else if (this.#sessions.size >= sessionsMax) this.#end(this.#sessions.keys().next().value);
    const cookie = newSecret(this.#deps.random);
    const nowMs = this.#deps.clock.nowMs();
    const end = new AbortController();
    const expiresMs = Math.min(nowMs + sessionMsMax, operator.certificateExpiresMs);
    const session = { operator, expiresMs, ended: end.signal, end, lastUsedMs: nowMs };
    this.#sessions.set(hashOf(cookie), session);
    return { cookie, session };
  }

  /** Returns the session of a cookie and counts it as used now; undefined if it has ended. */
  find(cookie: string): Session | undefined {
    const hash = hashOf(cookie);
    const session = this.#sessions.get(hash);
    if (session === undefined) return undefined;
    if (this.#isOver(session)) {
      this.#end(hash);
      return undefined;
    }
    session.lastUsedMs = this.#deps.clock.nowMs();
    return session;
  }

  /** Counts an open page as use. */
  touch(session: Session): void {
    (session as Held).lastUsedMs = this.#deps.clock.nowMs();
  }

  end(cookie: string): void {
    this.#end(hashOf(cookie));
  }

  /** Ends all sessions of an operator. Returns their number. */
  endOf(id: SpiffeId): number {
    const own = [...this.#sessions].filter(([, session]) => session.operator.id === id);
    for (const [hash] of own) this.#end(hash);
    return own.length;
  }

  /** Ends the sessions that are over. Must be called every few seconds, and when certificates were revoked. */
  sweep(): void {
    for (const [hash, session] of this.#sessions) if (this.#isOver(session)) this.#end(hash);
  }

  close(): void {
    for (const hash of [...this.#sessions.keys()]) this.#end(hash);
  }

  #isOver({ operator, expiresMs, lastUsedMs }: Held): boolean {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs >= expiresMs || nowMs >= lastUsedMs + idleMsMax) return true;
    return this.#deps.revocations().some(({ serial }) => serial === operator.certificateSerial);
  }

  #end(hash: string | undefined): void {
    if (hash === undefined) return;
    const session = this.#sessions.get(hash);
    this.#sessions.delete(hash);
    session?.end.abort();
  }
}
