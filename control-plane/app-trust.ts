/** Part of app.ts: what changes the trust log, and what reads the keys of issuers again where the root key is held. */
import { lookup } from "node:dns/promises";
import type { Cleanup } from "./cleanup.js";
import { fetchJwks } from "./issuers/fetch-jwks.js";
import { createIssuers, type Issuers, type IssuersDeps } from "./issuers/issuers.js";
import { runRefresh } from "./issuers/refresh-loop.js";
import {
  createSigningKeyRotation,
  type SigningKeyRotation,
  type SigningKeyRotationDeps,
} from "./trust/signing-key-rotation.js";

interface TrustDeps extends Omit<IssuersDeps, "fetch" | "authority" | "ledger">, SigningKeyRotationDeps {
  readonly cleanup: Cleanup;
}

/** Issuers of tokens, and the keys that sign records. */
export function openTrust(deps: TrustDeps): { readonly issuers: Issuers; readonly signingKeys: SigningKeyRotation } {
  return { issuers: openIssuers(deps), signingKeys: createSigningKeyRotation(deps) };
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
