/** What an identity is opened with. */
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";

export interface OpenIdentityDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

export interface OpenIdentityOptions {
  /** The proxy's data folder. */
  readonly dir: string;
  /** What join.json says; any of the control planes it names will do. */
  readonly join: { readonly join: string; readonly rootHash: string; readonly joins?: readonly string[] | undefined };
  /** Used only while there is no stored identity. */
  readonly token?: string | undefined;
  /** Why there is none, though one was meant to be given. */
  readonly noToken?: string | undefined;
  readonly service: string;
  /** A certificate is renewed this long after it was issued, or after half its life if that is shorter; 1 hour. */
  readonly renewEveryMs?: number;
}
