/** Options for opening an identity. */
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { Tenure } from "../takeover/tenure.js";

export interface OpenIdentityDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  /** Decides whether this process may write the folder, and so renew and save; left out: it may. */
  readonly tenure?: Pick<Tenure, "isMine" | "run">;
}

export interface OpenIdentityOptions {
  /** The proxy's data folder. */
  readonly dir: string;
  /** The contents of join.json; any control plane that it names can be used. */
  readonly join: { readonly join: string; readonly rootHash: string; readonly joins?: readonly string[] | undefined };
  /** The join token, used only if there is no stored identity. */
  readonly token?: string | undefined;
  /** Why there is no token although one was given. */
  readonly noToken?: string | undefined;
  readonly service: string;
  /** The milliseconds after which a certificate is renewed, or half its life if that is shorter; 1 hour by default. */
  readonly renewEveryMs?: number;
}
