/**
 * Records which proxies and NATS users are revoked. The record is on disk before a server is told, so that a restart
 * forgets none.
 */
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import type { RevokedUserTimes } from "./account-claims.js";

/**
 * The longest life of a proxy user's JWT in milliseconds: that of its certificate, plus one hour for clocks that
 * differ.
 */
export const userLifeMs = 25 * 3_600_000;
/**
 * The milliseconds for which users of a revoked proxy are refused: a control plane that has not heard of the revocation
 * may issue one more.
 */
const proxyMs = 2 * userLifeMs;

interface RevokedUser {
  /** JWTs that were issued for the user's key up to this time, in Unix seconds, are refused. */
  readonly atSeconds: number;
  /** The time at which all refused JWTs have expired. */
  readonly untilMs: number;
}

export class RevokedUsers {
  readonly #path: string;
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #users: Map<string, RevokedUser>;
  /** Revoked proxies, with the time until which unknown users of theirs may still connect. */
  readonly #proxies: Map<string, number>;

  /** Opens the file; fails with `invalid_argument` if it is damaged. */
  constructor(path: string, clock: Pick<Clock, "nowMs">) {
    this.#path = path;
    this.#clock = clock;
    try {
      const { users = {}, proxies = {} } = (readJsonIfThere(path) ?? {}) as {
        users?: Record<string, RevokedUser>;
        proxies?: Record<string, number>;
      };
      this.#users = new Map(Object.entries(users));
      this.#proxies = new Map(Object.entries(proxies));
    } catch (cause) {
      throw new AshlarError("invalid_argument", `${path} is damaged: ${messageOf(cause)}`, { cause });
    }
  }

  /** Returns the revocations for the account's JWT, without those that have expired. */
  times(): RevokedUserTimes {
    this.#prune();
    return Object.fromEntries([...this.#users].map(([user, { atSeconds }]) => [user, atSeconds]));
  }

  hasProxy(proxyId: string): boolean {
    return (this.#proxies.get(proxyId) ?? 0) > this.#clock.nowMs();
  }

  /**
   * Revokes all JWTs that were issued for these keys up to now. The list is on disk when it returns. Returns whether it
   * changed.
   */
  addUsers(keys: readonly string[]): boolean {
    const nowMs = this.#clock.nowMs();
    // JWTs state in whole seconds when they were signed
    const entry = { atSeconds: Math.ceil(nowMs / 1000), untilMs: nowMs + userLifeMs };
    for (const key of keys) this.#users.set(key, entry);
    if (keys.length > 0) this.#save();
    return keys.length > 0;
  }

  addProxy(proxyId: string): void {
    this.#proxies.set(proxyId, this.#clock.nowMs() + proxyMs);
    this.#save();
  }

  #prune(): void {
    const nowMs = this.#clock.nowMs();
    for (const [key, { untilMs }] of this.#users) if (untilMs <= nowMs) this.#users.delete(key);
    for (const [id, untilMs] of this.#proxies) if (untilMs <= nowMs) this.#proxies.delete(id);
  }

  #save(): void {
    this.#prune();
    const kept = { users: Object.fromEntries(this.#users), proxies: Object.fromEntries(this.#proxies) };
    writeDurably(this.#path, `${JSON.stringify(kept, undefined, 2)}\n`);
  }
}
