/**
 * Joins the mesh with a token at any control plane, for a proxy without an identity. Retries as long as it may succeed.
 */
import { AshlarError, messageOf } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import { parseJoinToken } from "../../runtime/join-token.js";
import { contactAny, mayHeal } from "../../runtime/mesh-contact.js";
import type { IdentityParts } from "./identity-check.js";
import type { OpenIdentityDeps, OpenIdentityOptions } from "./identity-options.js";
import { type JoinClientDeps, joinMesh } from "./join-client.js";

/** The addresses at which the mesh can be joined. */
export interface Contact extends Omit<JoinClientDeps, "address"> {
  readonly addresses: readonly string[];
}

/**
 * Returns the failure to act on: one that may pass, so that joining is retried while any control plane may still
 * accept.
 */
export const chooseHealing = (failures: readonly unknown[]): unknown => failures.find(mayHeal) ?? failures[0];

/** Parses the token. Fails with `invalid_argument` if there is none, and as `parseJoinToken` does. */
export function tokenToJoinWith({
  dir,
  token,
  noToken = "give --token FILE, which `ashlar token` prints",
}: OpenIdentityOptions) {
  if (token === undefined) throw new AshlarError("invalid_argument", `no identity in ${dir} and no token: ${noToken}`);
  const text = token.trim();
  return { text, token: parseJoinToken(text) };
}

/** Joins, and retries while no control plane can be reached. Fails as `openIdentity` does. */
export async function joinFirst(
  { clock, log, random }: OpenIdentityDeps,
  options: OpenIdentityOptions,
  client: Contact,
  signal: AbortSignal,
): Promise<IdentityParts> {
  const { text, token } = tokenToJoinWith(options);
  if (token.rootHash !== client.rootHash) {
    throw new AshlarError("unauthenticated", "the token and the --join file are of different meshes");
  }
  const backoff = new Backoff({ msMin: 200, msMax: 10_000 }, random);
  const request = { token: text, mesh: token.mesh, service: options.service };
  const joinAt = (address: string) => joinMesh({ ...client, address }, request, signal);
  for (;;) {
    try {
      return await contactAny(client.addresses, joinAt, chooseHealing);
    } catch (error) {
      if (signal.aborted) throw new AshlarError("unavailable", "stopped before it could join");
      if (!mayHeal(error)) throw error;
      log.warn(`cannot join at ${client.addresses.join(", ")}: trying again`, { why: messageOf(error) });
    }
    await clock.sleep(backoff.nextMs(), signal);
  }
}
