/** How a proxy without an identity gets one: with a token, at any control plane of the mesh, for as long as it takes. */
import { AshlarError, messageOf } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import { parseJoinToken } from "../../runtime/join-token.js";
import { contactAny, mayHeal } from "../../runtime/mesh-contact.js";
import type { IdentityParts } from "./identity-check.js";
import type { OpenIdentityDeps, OpenIdentityOptions } from "./identity-options.js";
import { type JoinClientDeps, joinMesh } from "./join-client.js";

/** How to reach the mesh: at any of the addresses. */
export interface Contact extends Omit<JoinClientDeps, "address"> {
  readonly addresses: readonly string[];
}

/** Goes on trying as long as one of several control planes may still say yes. */
export const chooseHealing = (failures: readonly unknown[]): unknown => failures.find(mayHeal) ?? failures[0];

/** The token, read. Fails with `invalid_argument` if there is none, and as `parseJoinToken` does. */
export function tokenToJoinWith({ dir, token, noToken = "give --token" }: OpenIdentityOptions) {
  if (token === undefined) throw new AshlarError("invalid_argument", `no identity in ${dir} and no token: ${noToken}`);
  const text = token.trim();
  return { text, token: parseJoinToken(text) };
}

/** Joins, trying again while the control plane is out of reach; fails as `openIdentity` says. */
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
