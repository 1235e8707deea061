/**
 * Issuers of tokens in the trust log: operators set and remove them, and their keys are refreshed in the background.
 */
import { AshlarError, messageOf } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { readJwks } from "../../core/token/jwks.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";
import { removeIssuer, saysTheSame, setIssuer } from "../../core/trust.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { type AuditTrail, audited, type Caller } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { Ledger } from "../store/ledger.js";
import { appendTrust } from "../trust/append-trust.js";
import { type JwksSource, parseJwksUrl } from "./fetch-jwks.js";

export interface IssuersDeps {
  readonly authority: Pick<Authority, "mesh" | "holdsRoot" | "rootSigner">;
  readonly ledger: Pick<Ledger, "trust">;
  readonly fetch: (source: JwksSource, signal: AbortSignal) => Promise<string>;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An issuer as an operator states it; `jwks` or `jwksUrl` is not empty. */
export interface IssuerDraft {
  readonly name: string;
  readonly issuer: string;
  readonly jwks: string;
  readonly jwksUrl: string;
  readonly allowPrivateAddress: boolean;
  readonly jwksCa: string;
}

/** An issuer, with the result of the last refresh of its keys by this control plane. */
export interface IssuerView {
  readonly issuer: TrustedIssuer;
  readonly keyIds: readonly string[];
  /** Why its keys could not be refreshed; "": they could. */
  readonly problem: string;
}

export interface Issuers {
  /**
   * Sets an issuer after reading its keys. `created`: false if the trust log states the same already; `ignored`: the
   * keys that were left out. Fails with `denied` if this control plane does not hold the root key, and with
   * `invalid_argument`, `exists`, `limit` or `unavailable` for what it states.
   */
  set(
    draft: IssuerDraft,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<{ created: boolean; ignored: readonly string[] }>;
  /** Removes an issuer. Fails with `not_found`, and as `set` does. */
  remove(name: string, caller: Caller): Promise<void>;
  list(): readonly IssuerView[];
  /** Reads the keys of an issuer again; a new trust record only if they have changed. Never fails. */
  refresh(name: string, signal: AbortSignal): Promise<boolean>;
  /** Returns problems with the refresh of keys, one line each. */
  problems(): readonly string[];
}

/** The number of failures in a row that raises a problem. */
const failuresAlarm = 3;
const controlPlane: Caller = { id: "control-plane", source: "background" };

export function createIssuers(deps: IssuersDeps): Issuers {
  return new LedgerIssuers(deps);
}

class LedgerIssuers implements Issuers {
  readonly #deps: IssuersDeps;
  readonly #failures = new Map<string, { readonly count: number; readonly reason: string }>();

  constructor(deps: IssuersDeps) {
    this.#deps = deps;
  }

  set(draft: IssuerDraft, caller: Caller, signal: AbortSignal) {
    const { authority, clock, audit } = this.#deps;
    const what = { target: `issuer ${draft.name.slice(0, 64)}`, caller, detail: describe(draft) };
    return audited(audit, { action: "issuer", ...what }, async () => {
      requireRoot(authority);
      checkDraft(draft);
      const { text, ignored } = await this.#readKeys(draft, signal);
      const issuer = { ...draft, jwks: text, fetchedMs: clock.nowMs() };
      const { appended } = await appendTrust(this.#deps, (head) => setIssuer(head, issuer, clock.nowMs()));
      this.#failures.delete(draft.name);
      return { created: appended, ignored };
    });
  }

  remove(name: string, caller: Caller): Promise<void> {
    const { authority, clock, audit } = this.#deps;
    const what = { target: `issuer ${name.slice(0, 64)}`, caller, detail: "removed" };
    return audited(audit, { action: "issuer", ...what }, async () => {
      requireRoot(authority);
      await appendTrust(this.#deps, (head) => removeIssuer(head, name, clock.nowMs()));
      this.#failures.delete(name);
    });
  }

  list(): readonly IssuerView[] {
    return (this.#deps.ledger.trust.head()?.body.issuers ?? []).map((issuer) => ({
      issuer,
      keyIds: keyIdsOf(issuer.jwks),
      problem: this.#failures.get(issuer.name)?.reason ?? "",
    }));
  }

  async refresh(name: string, signal: AbortSignal): Promise<boolean> {
    const known = this.#deps.ledger.trust.head()?.body.issuers.find((issuer) => issuer.name === name);
    if (known === undefined || known.jwksUrl === "") return true;
    try {
      const { text } = await this.#readKeys({ ...known, jwks: "" }, signal);
      if (text !== known.jwks) await this.#replaceKeys(known, text);
      this.#failures.delete(name);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const reason = messageOf(error).slice(0, 500);
      this.#failures.set(name, { count: (this.#failures.get(name)?.count ?? 0) + 1, reason });
      const message = "the keys of an issuer could not be read again; the known ones go on";
      this.#deps.log.warn(message, { issuer: name, reason });
      return false;
    }
  }

  problems(): readonly string[] {
    return [...this.#failures].flatMap(([name, { count, reason }]) => {
      if (count < failuresAlarm) return [];
      return [`the keys of issuer ${name} cannot be read again; the known ones go on: ${reason}`];
    });
  }

  async #readKeys({ jwks, jwksUrl: url, allowPrivateAddress, jwksCa: ca }: IssuerDraft, signal: AbortSignal) {
    return readJwks(url === "" ? jwks : await this.#deps.fetch({ url, allowPrivateAddress, ca }, signal));
  }

  async #replaceKeys(known: TrustedIssuer, jwks: string): Promise<void> {
    const { name, jwksUrl } = known;
    const { audit, clock, log } = this.#deps;
    const what = { target: `issuer ${name}`, caller: controlPlane, detail: `new keys from ${jwksUrl}` };
    await audited(audit, { action: "issuer", ...what }, () =>
      appendTrust(this.#deps, (head) => {
        const current = head.body.issuers.find((issuer) => issuer.name === name);
        // The issuer was removed or set again meanwhile: the keys that were just read may have been withdrawn since.
        if (current === undefined || !saysTheSame(current, known)) return undefined;
        return setIssuer(head, { ...current, jwks, fetchedMs: clock.nowMs() }, clock.nowMs());
      }),
    );
    log.info("an issuer has new keys", { issuer: name });
  }
}

function requireRoot({ holdsRoot }: IssuersDeps["authority"]): void {
  if (holdsRoot) return;
  throw new AshlarError("denied", "only the control plane that began the mesh changes trust: ask that one");
}

function checkDraft({ name, issuer, jwks, jwksUrl, jwksCa }: IssuerDraft): void {
  const refuse = (message: string): never => {
    throw new AshlarError("invalid_argument", message);
  };
  if (!isLabel(name))
    refuse(`the name of an issuer is 1 to 63 of a-z, 0-9 and -, got ${JSON.stringify(name.slice(0, 64))}`);
  if (!/^[\x21-\x7e]{1,512}$/.test(issuer)) refuse("issuer: 1 to 512 printable characters without spaces, as in iss");
  if ((jwks === "") === (jwksUrl === "")) refuse("give either a key set or the URL of one");
  if (jwksUrl !== "") parseJwksUrl(jwksUrl);
  else if (jwksCa !== "") refuse("jwks_ca is for a URL");
}

function describe({ issuer, jwksUrl, allowPrivateAddress }: IssuerDraft): string {
  const allowed = allowPrivateAddress ? ", private addresses allowed" : "";
  return `${issuer.slice(0, 512)}, keys from ${jwksUrl === "" ? "a file" : `${jwksUrl.slice(0, 512)}${allowed}`}`;
}

function keyIdsOf(jwks: string): readonly string[] {
  try {
    return readJwks(jwks).keys.map(({ kid }) => kid ?? "(none)");
  } catch {
    return [];
  }
}
