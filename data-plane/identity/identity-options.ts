/** Options for opening an identity. */
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { Tenure } from "../takeover/tenure.js";

export interface OpenIdentityDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  /** Only who may write the folder renews and saves; left out: this process may. */
  readonly tenure?: Pick<Tenure, "isMine" | "run">;
}

export interface OpenIdentityOptions {
  /** The proxy's data folder. */
  readonly dir: string;
  /** The contents of join.json. Each control plane that it names can be used. */
  readonly join: { readonly join: string; readonly rootHash: string; readonly joins?: readonly string[] | undefined };
  /** The join token, used only if there is no stored identity. */
  readonly token?: string | undefined;
  /** Why there is no token although one was given. */
  readonly noToken?: string | undefined;
  readonly service: string;
  /** A certificate is renewed this long after it was issued, or after half its life if that is shorter; 1 hour. */
  readonly renewEveryMs?: number;
}
