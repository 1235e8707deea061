/**
 * Opens everything that changes the trust log. Where the root key is held, the keys of token issuers are also
 * refreshed.
 */
import { lookup } from "node:dns/promises";
import type { Cleanup } from "../cleanup.js";
import { createEgresses, type Egresses } from "../egress/egresses.js";
import { type IssuedCertificates, openIssuedCertificates } from "../identity/issued-certificates.js";
import { fetchJwks } from "../issuers/fetch-jwks.js";
import { createIssuers, type Issuers, type IssuersDeps } from "../issuers/issuers.js";
import { runRefresh } from "../issuers/refresh-loop.js";
import { startRevokingUsers, type UserRevoking } from "../nats/revoked-proxies.js";
import type { UserGuard } from "../nats/user-guard.js";
import { createJournalHolders, type JournalHolders } from "./journal-holder.js";
import { createRevocations, type Revocations, type RevocationsDeps } from "./revocations.js";
import {
  createSigningKeyRotation,
  type SigningKeyRotation,
  type SigningKeyRotationDeps,
} from "./signing-key-rotation.js";

interface TrustDeps
  extends Omit<IssuersDeps, "fetch" | "authority" | "ledger">,
    SigningKeyRotationDeps,
    Pick<RevocationsDeps, "auditLog"> {
  readonly cleanup: Cleanup;
  /** Ends NATS users; undefined if NATS is a cluster that Ashlar does not run. */
  readonly guard: UserGuard | undefined;
  /** The data folder. */
  readonly folder: { readonly path: string };
}

export interface OpenedTrust {
  readonly issuers: Issuers;
  readonly egresses: Egresses;
  readonly journalHolders: JournalHolders;
  readonly signingKeys: SigningKeyRotation;
  readonly revocations: Revocations;
  readonly issued: IssuedCertificates;
  readonly natsUsers: UserRevoking;
}

/** Opens the issuers of tokens, the addresses of egresses, the holder of private fields, the rotation of signing keys, the list of issued certificates and their revocation. */
export function openTrust(deps: TrustDeps): OpenedTrust {
  const issued = openIssuedCertificates({ ...deps, dir: deps.folder.path });
  const natsUsers = startRevokingUsers({ ...deps, issued });
  const revocations = createRevocations({ ...deps, issued, onRevoked: natsUsers.revoke });
  return {
    ...{ issuers: openIssuers(deps), egresses: createEgresses(deps), signingKeys: createSigningKeyRotation(deps) },
    ...{ journalHolders: createJournalHolders(deps), revocations, issued, natsUsers },
  };
}

function openIssuers(deps: Omit<IssuersDeps, "fetch"> & { readonly cleanup: Cleanup }): Issuers {
  const { authority, clock, cleanup } = deps;
  const resolve = (host: string) => lookup(host, { all: true });
  const issuers = createIssuers({ ...deps, fetch: (source, signal) => fetchJwks(source, resolve, signal) });
  if (!authority.holdsRoot) return issuers;
  const stop = new AbortController();
  const loop = runRefresh({ issuers, clock }, stop.signal);
  cleanup.add(async () => {
    stop.abort();
    await loop;
  });
  return issuers;
}
