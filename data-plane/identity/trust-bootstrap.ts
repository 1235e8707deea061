import type { CheckedIdentity } from "./identity-check.js";

/**
 * The heads of the logs from joining or from the last renewal, as signed bytes that were verified when they arrived.
 */
export interface TrustBootstrap {
  readonly mesh: string;
  /** The Ed25519 key, 32 bytes, that verifies trust records; its hash is the pin. */
  readonly rootPublicKey: Uint8Array;
  /** The newest trust record. */
  readonly trust: Uint8Array;
  /** The head of the activation log; undefined: nothing was active. */
  readonly activation: Uint8Array | undefined;
  /** The revision that the head names. */
  readonly revision: Uint8Array | undefined;
  readonly freshness: Uint8Array;
  /** The time on the monotonic clock at which a control plane sent this; undefined if it was read from disk. */
  readonly answeredAtMs: number | undefined;
}

/** Returns the heads that came with an identity. */
export function bootstrapOf({ parts, answeredAtMs }: CheckedIdentity): TrustBootstrap {
  const { mesh, rootPublicKey, trust, activation, revision, freshness } = parts;
  const some = (bytes: Uint8Array) => (bytes.length === 0 ? undefined : bytes);
  const heads = { trust, activation: some(activation), revision: some(revision), freshness };
  return { mesh, rootPublicKey, ...heads, answeredAtMs };
}
