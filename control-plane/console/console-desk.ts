/** What the admin API and the console share: login links, sessions, and the address of the console once it serves. */
import type { Revocation } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import { LoginLinks } from "./login-links.js";
import { Sessions } from "./sessions.js";

/** The address and certificate of a console that serves. */
export interface ServedConsole {
  /** The URL without a slash at its end, such as "https://console.example.org:7422". */
  readonly url: string;
  /** The SHA-256 in lower-case hexadecimal of the certificate that it uses now; empty: plain HTTP. */
  certificateSha256(): string;
  /** True if the mesh's own CA issued that certificate. */
  readonly certificateOfMesh: boolean;
}

export interface ConsoleDesk {
  readonly links: LoginLinks;
  readonly sessions: Sessions;
  /** undefined: there is no console, or it does not serve yet. */
  served: ServedConsole | undefined;
}

export interface ConsoleDeskDeps {
  readonly clock: Pick<Clock, "nowMs">;
  readonly random: (count: number) => Uint8Array;
  readonly revocations: () => readonly Revocation[];
}

export function createConsoleDesk(deps: ConsoleDeskDeps): ConsoleDesk {
  return { links: new LoginLinks(deps), sessions: new Sessions(deps), served: undefined };
}
