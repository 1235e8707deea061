import type { CheckedIdentity } from "./identity-check.js";

/** What joining and the newest renewal said about the logs: signed bytes, verified when they came. */
export interface TrustBootstrap {
  readonly mesh: string;
  /** Ed25519, 32 bytes; its hash is the pin. Trust records are verified with it. */
  readonly rootPublicKey: Uint8Array;
  /** The newest trust record. */
  readonly trust: Uint8Array;
  /** The head of the activation log; undefined: nothing was active. */
  readonly activation: Uint8Array | undefined;
  /** The revision that the head names. */
  readonly revision: Uint8Array | undefined;
  readonly freshness: Uint8Array;
  /** When a control plane answered with this, by the monotonic clock; undefined: read from disk. */
  readonly answeredAtMs: number | undefined;
}

/** What came with an identity. */
export function bootstrapOf({ parts, answeredAtMs }: CheckedIdentity): TrustBootstrap {
  const { mesh, rootPublicKey, trust, activation, revision, freshness } = parts;
  const some = (bytes: Uint8Array) => (bytes.length === 0 ? undefined : bytes);
  const heads = { trust, activation: some(activation), revision: some(revision), freshness };
  return { mesh, rootPublicKey, ...heads, answeredAtMs };
}
