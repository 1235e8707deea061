/**
 * Says whether NATS lets this proxy tell about calls. A credential that an earlier version issued does not allow it.
 */
import { lookSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Logger } from "../../runtime/log.js";
import type { IdentityView } from "../ports.js";

export interface TellingRightDeps {
  readonly bus: Pick<Bus, "reconnect" | "onStatus">;
  readonly identity: IdentityView;
  readonly log: Logger;
}

export class TellingRight {
  readonly #deps: TellingRightDeps;
  /** Whether the credential that the present connection was made with allows this proxy to tell about calls. */
  #isGiven: boolean;
  #isSaid = false;

  constructor(deps: TellingRightDeps) {
    this.#deps = deps;
    this.#isGiven = this.#isInCredential();
    deps.bus.onStatus(({ connected }) => {
      if (connected) this.#isGiven = this.#isInCredential();
    });
  }

  /**
   * Whether this proxy may tell about calls now. A renewed credential counts once a new connection has been made with
   * it.
   */
  isGiven(): boolean {
    const { bus, log } = this.#deps;
    if (this.#isGiven) return true;
    if (this.#isInCredential()) {
      this.#isGiven = true;
      bus.reconnect();
      return false;
    }
    if (!this.#isSaid)
      log.info("calls are not told until the next renewal: the credential for NATS is of an earlier version");
    this.#isSaid = true;
    return false;
  }

  #isInCredential(): boolean {
    const { natsJwt, service, proxyId } = this.#deps.identity.current;
    return allowedIn(natsJwt).includes(lookSubject(service, proxyId, "*"));
  }
}

/** Returns the subjects that a user's JWT lets it publish to. */
function allowedIn(jwt: string): readonly unknown[] {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString());
    const { nats } = claims as { readonly nats?: { readonly pub?: { readonly allow?: unknown } } };
    return Array.isArray(nats?.pub?.allow) ? nats.pub.allow : [];
  } catch {
    return [];
  }
}
