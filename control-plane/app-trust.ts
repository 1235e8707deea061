/** Part of app.ts: what changes the trust log, and what reads the keys of issuers again where the root key is held. */
import { lookup } from "node:dns/promises";
import { startRevokingUsers, type UserRevoking } from "./app-revoking.js";
import type { Cleanup } from "./cleanup.js";
import { type IssuedCertificates, openIssuedCertificates } from "./identity/issued-certificates.js";
import { fetchJwks } from "./issuers/fetch-jwks.js";
import { createIssuers, type Issuers, type IssuersDeps } from "./issuers/issuers.js";
import { runRefresh } from "./issuers/refresh-loop.js";
import type { UserGuard } from "./nats/user-guard.js";
import { createRevocations, type Revocations, type RevocationsDeps } from "./trust/revocations.js";
import {
  createSigningKeyRotation,
  type SigningKeyRotation,
  type SigningKeyRotationDeps,
} from "./trust/signing-key-rotation.js";

interface TrustDeps
  extends Omit<IssuersDeps, "fetch" | "authority" | "ledger">,
    SigningKeyRotationDeps,
    Pick<RevocationsDeps, "auditLog"> {
  readonly cleanup: Cleanup;
  /** Ends NATS users; undefined: NATS is somebody's cluster. */
  readonly guard: UserGuard | undefined;
  /** The data folder. */
  readonly folder: { readonly path: string };
}

export interface OpenedTrust {
  readonly issuers: Issuers;
  readonly signingKeys: SigningKeyRotation;
  readonly revocations: Revocations;
  readonly issued: IssuedCertificates;
  readonly natsUsers: UserRevoking;
}

/** Issuers of tokens, the keys that sign records, and the certificates that were issued and revoked. */
export function openTrust(deps: TrustDeps): OpenedTrust {
  const issued = openIssuedCertificates({ ...deps, dir: deps.folder.path });
  const natsUsers = startRevokingUsers({ ...deps, issued });
  const revocations = createRevocations({ ...deps, issued, onRevoked: natsUsers.revoke });
  return { issuers: openIssuers(deps), signingKeys: createSigningKeyRotation(deps), revocations, issued, natsUsers };
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
