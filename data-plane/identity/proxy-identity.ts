/** The identity of this proxy: read from disk or obtained with a token, verified, and renewed while the proxy runs. */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import { parseJoinToken } from "../../runtime/join-token.js";
import { contactAny, joinAddresses, mayHeal, rootHashOf } from "../../runtime/mesh-contact.js";
import type { IdentityView, ProxyIdentity } from "../ports.js";
import type { OfferContact } from "../recover/offer-client.js";
import { type Contact, chooseHealing, joinFirst, tokenToJoinWith } from "./first-join.js";
import { type CheckedIdentity, checkIdentity, type IdentityParts } from "./identity-check.js";
import type { OpenIdentityDeps, OpenIdentityOptions } from "./identity-options.js";
import { type IdentityStore, isIdentityStored, openIdentityStore } from "./identity-store.js";
import { renewIdentity, requestReader, type SeenByProxy } from "./join-client.js";
import { bootstrapOf, type TrustBootstrap } from "./trust-bootstrap.js";

/** An identity that renews itself until the signal it was opened with aborts. */
export interface OpenedIdentity extends IdentityView {
  /** The present identity. Each renewal replaces the whole object. */
  readonly bootstrap: TrustBootstrap;
  /** Why the last renewal failed or could not be stored; undefined if it succeeded. */
  readonly renewalProblem: string | undefined;
  /** Calls `listener` with the result of each renewal. Returns a function that removes the listener. */
  onBootstrap(listener: (bootstrap: TrustBootstrap) => void): () => void;
  /** Sets the function that returns the heads of the logs that this proxy has seen, for renewals. */
  reportSeen(seen: () => SeenByProxy): void;
  /** Returns clients for each control plane, with this proxy's identity. */
  readonly contacts: readonly OfferContact[];
  /** Renews now. Fails with the control plane's error. */
  renew(): Promise<void>;
  /**
   * Asks a control plane for a certificate for an application's key. Returns it in DER, leaf first. Fails with the control
   * plane's error.
   */
  issueReader(csr: Uint8Array): Promise<readonly Uint8Array[]>;
  /** Resolves when renewing has stopped, after the signal aborted. */
  readonly stopped: Promise<void>;
}

const hourMs = 3_600_000;
const saveAgainMs = 30_000;

/**
 * Opens the proxy's identity. A stored one takes precedence over the token; without one it joins, and retries as long
 * as the control plane cannot be reached. Fails with one clear line if retrying cannot help: `unauthenticated` (wrong,
 * used or expired token, wrong pin), `denied` (the token is for another service), `invalid_argument` (no token, or the
 * folder belongs to another mesh or service), `invalid_record` (damaged), and `unavailable` if `signal` aborts first.
 */
export async function openIdentity(
  deps: OpenIdentityDeps,
  options: OpenIdentityOptions,
  signal: AbortSignal,
): Promise<OpenedIdentity> {
  // fails at once, so that a start that cannot succeed leaves no folder
  if (options.token === undefined && !isIdentityStored(options.dir)) tokenToJoinWith(options);
  const store = openIdentityStore(options.dir);
  const { join: listed, joins, rootHash } = options.join;
  const addresses = joinAddresses(listed, joins);
  const client: Contact = { addresses, rootHash, keys: store.keys, clock: deps.clock };
  const check = (parts: IdentityParts): CheckedIdentity =>
    checkIdentity(parts, store.keys, { rootHash, service: options.service }, deps.clock.nowMs());
  const stored = store.load();
  if (stored !== undefined) {
    checkFolder(stored, options);
    return new RenewingIdentity(deps, options, store, client, check, readStored(check, stored, options.dir), signal);
  }
  const parts = await joinFirst(deps, options, client, signal);
  const joined = { ...check(parts), answeredAtMs: deps.clock.monotonicMs() };
  store.save(parts);
  const { mesh, service, version, proxyId: proxy } = parts;
  deps.log.info("joined the mesh", { mesh, service, version, proxy });
  return new RenewingIdentity(deps, options, store, client, check, joined, signal);
}

function checkFolder(stored: IdentityParts, { dir, join, token, service }: OpenIdentityOptions): void {
  const refuse = (why: string): never => {
    throw new AshlarError("invalid_argument", `data folder ${dir} belongs to ${why}: give another --data`);
  };
  if (stored.service !== service) refuse(`service ${stored.service}, not ${service}`);
  const given = token === undefined ? undefined : readTokenMesh(token);
  if (given !== undefined && given !== stored.mesh) refuse(`mesh ${stored.mesh}, not ${given}`);
  const [own, wanted] = [rootHashOf(stored.rootPublicKey), join.rootHash];
  if (own !== wanted) refuse(`mesh ${stored.mesh} with another root key than the one in the --join file`);
}

/**
 * Returns the mesh of a token, or undefined: the file of a used token may contain anything, because the stored identity
 * takes precedence.
 */
function readTokenMesh(token: string): string | undefined {
  try {
    return parseJoinToken(token).mesh;
  } catch {
    return undefined;
  }
}

function readStored(
  check: (parts: IdentityParts) => CheckedIdentity,
  parts: IdentityParts,
  dir: string,
): CheckedIdentity {
  try {
    return check(parts);
  } catch (cause) {
    const why = messageOf(cause);
    throw new AshlarError(
      "invalid_record",
      `the identity in ${dir} does not verify (${why}): remove it and join again`,
      {
        cause,
      },
    );
  }
}

class RenewingIdentity implements OpenedIdentity {
  readonly #deps: OpenIdentityDeps;
  readonly #renewEveryMs: number;
  readonly #store: IdentityStore;
  readonly #client: Contact;
  readonly #check: (parts: IdentityParts) => CheckedIdentity;
  readonly #signal: AbortSignal;
  readonly #rotateListeners = new Set<(identity: ProxyIdentity) => void>();
  readonly #bootstrapListeners = new Set<(bootstrap: TrustBootstrap) => void>();
  #checked: CheckedIdentity;
  #seen: () => SeenByProxy;
  #renewing: Promise<void> | undefined;
  #renewFailure: string | undefined;
  #saveProblem: string | undefined;
  #savingLater: Promise<void> | undefined;
  readonly stopped: Promise<void>;

  constructor(
    deps: OpenIdentityDeps,
    options: OpenIdentityOptions,
    store: IdentityStore,
    client: Contact,
    check: (parts: IdentityParts) => CheckedIdentity,
    checked: CheckedIdentity,
    signal: AbortSignal,
  ) {
    this.#deps = deps;
    this.#renewEveryMs = options.renewEveryMs ?? hourMs;
    this.#store = store;
    this.#client = client;
    this.#check = check;
    this.#checked = checked;
    this.#signal = signal;
    this.#seen = () => ({ epoch: 0, activation: undefined, trustSequence: this.#checked.trust.body.sequence });
    this.stopped = this.#run();
  }

  get current(): ProxyIdentity {
    return this.#checked.identity;
  }

  get bootstrap(): TrustBootstrap {
    return bootstrapOf(this.#checked);
  }

  get contacts(): readonly OfferContact[] {
    const { parts, trust } = this.#checked;
    const [{ addresses, keys, ...contact }, known] = [this.#client, { mesh: parts.mesh, trust }];
    const own = { ...contact, known, chain: parts.certificateChain, privateKeyPem: keys.privateKeyPem };
    return addresses.map((address) => ({ ...own, address }));
  }

  onRotate(listener: (identity: ProxyIdentity) => void): () => void {
    this.#rotateListeners.add(listener);
    return () => void this.#rotateListeners.delete(listener);
  }

  onBootstrap(listener: (bootstrap: TrustBootstrap) => void): () => void {
    this.#bootstrapListeners.add(listener);
    return () => void this.#bootstrapListeners.delete(listener);
  }

  reportSeen(seen: () => SeenByProxy): void {
    this.#seen = seen;
  }

  /**
   * Runs one renewal at a time. A call during a renewal waits for that one. A failure that may pass is no problem of this
   * proxy unless the renewal was due: what asked for it asks again, and the certificate is good.
   */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  issueReader(csr: Uint8Array): Promise<readonly Uint8Array[]> {
    const { parts, trust } = this.#checked;
    const present = { chain: parts.certificateChain, known: { mesh: parts.mesh, trust } };
    const askAt = (address: string) => requestReader({ ...this.#client, address }, present, csr, this.#signal);
    return contactAny(this.#client.addresses, askAt, (failures) => failures.at(-1));
  }

  async #renew(): Promise<void> {
    if ((await this.#deps.tenure?.isMine()) === false) {
      throw new AshlarError("stale", "the successor of this process renews the certificate");
    }
    const { parts, trust } = this.#checked;
    const known = { mesh: parts.mesh, trust };
    const chain = parts.certificateChain;
    try {
      const present = { chain, known, seen: this.#seen() };
      const renewAt = (address: string) => renewIdentity({ ...this.#client, address }, present, this.#signal);
      const renewed = await contactAny(this.#client.addresses, renewAt, chooseHealing);
      this.#checked = { ...this.#check(renewed), answeredAtMs: this.#deps.clock.monotonicMs() };
      this.#renewFailure = undefined;
      await this.#save();
    } catch (error) {
      if (!mayHeal(error)) this.#renewFailure = messageOf(error);
      throw error;
    }
    for (const listener of [...this.#rotateListeners]) listener(this.current);
    for (const listener of [...this.#bootstrapListeners]) listener(this.bootstrap);
  }

  /**
   * Saves the identity if this process may write. A renewal that a takeover overtook is used here and does not replace
   * the successor's.
   */
  async #save(): Promise<void> {
    const save = async (): Promise<void> => this.#saveNow();
    await (this.#deps.tenure?.run(save, undefined) ?? save());
  }

  /**
   * Saves the identity. If that fails, the certificate is used nevertheless, so that a full disk does not end this
   * proxy when the old one expires.
   */
  #saveNow(): void {
    try {
      this.#store.save(this.#checked.parts);
      this.#saveProblem = undefined;
    } catch (error) {
      if (this.#saveProblem === undefined)
        this.#deps.log.error("the renewed identity is not on disk", { why: messageOf(error) });
      this.#saveProblem = `the newest one is used and not on disk: ${messageOf(error)}`;
      this.#savingLater ??= this.#saveLater();
    }
  }

  async #saveLater(): Promise<void> {
    await this.#deps.clock.sleep(saveAgainMs, this.#signal);
    this.#savingLater = undefined;
    if (!this.#signal.aborted && this.#saveProblem !== undefined) await this.#save();
  }

  get renewalProblem(): string | undefined {
    return this.#renewFailure ?? this.#saveProblem;
  }

  #everyMs(): number {
    const { identity, notBeforeMs } = this.#checked;
    return Math.min(this.#renewEveryMs, (identity.notAfterMs - notBeforeMs) / 2);
  }

  /** Returns the milliseconds until the next renewal, varied by a tenth so that a fleet does not renew at once. */
  #dueMs(): number {
    const ageMs = this.#deps.clock.nowMs() - this.#checked.notBeforeMs;
    const dueMs = this.#everyMs() * (0.9 + 0.2 * this.#deps.random()) - ageMs;
    return Math.min(Math.max(0, dueMs), this.#renewEveryMs * 1.1);
  }

  async #run(): Promise<void> {
    const { clock, log, random } = this.#deps;
    const { identity, notBeforeMs } = this.#checked;
    const lifeMs = identity.notAfterMs - notBeforeMs;
    const backoff = new Backoff({ msMin: Math.min(1000, lifeMs / 20), msMax: Math.min(300_000, lifeMs / 4) }, random);
    for (let waitMs = this.#dueMs(); ; ) {
      await clock.sleep(waitMs, this.#signal);
      if (this.#signal.aborted) return;
      try {
        await this.renew();
        backoff.reset();
        waitMs = Math.max(this.#dueMs(), this.#everyMs() / 2); // clocks that differ must not cause constant renewals
        log.debug("certificate renewed", { serial: this.current.serial });
      } catch (error) {
        if (this.#signal.aborted || isAshlarError(error, "stale")) return;
        this.#renewFailure = messageOf(error);
        waitMs = backoff.nextMs();
        const expires = new Date(this.current.notAfterMs).toISOString();
        log.warn("cannot renew the certificate: trying again", { why: messageOf(error), expires });
      }
    }
  }
}
