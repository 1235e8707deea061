/** What the admin API and the console share: links, sessions, and where the console is once it serves. */
import type { Revocation } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import { LoginLinks } from "./login-links.js";
import { Sessions } from "./sessions.js";

/** Where the console serves. */
export interface ServedConsole {
  /** Without a slash at its end: "https://console.example.org:7422". */
  readonly url: string;
  /** SHA-256 of the certificate that it shows now, lower-case hexadecimal; empty: plain HTTP. */
  certificateSha256(): string;
  /** True: that certificate is of the mesh's own CA. */
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
