/**
 * Join tokens as text: `ashlar1.SECRET.ROOTHASH.MESH`, the first two in base64url. The holder knows which root key to
 * pin before it sends the secret to anybody.
 */
import { createHash } from "node:crypto";
import { AshlarError } from "../core/errors.js";

export interface JoinToken {
  readonly mesh: string;
  /** The SHA-256 of the root's public key in lower-case hexadecimal. */
  readonly rootHash: string;
  /** The secret, 24 random bytes. */
  readonly secret: Uint8Array;
}

export const tokenSecretBytes = 24;
const form = /^ashlar1\.([A-Za-z0-9_-]{32})\.([A-Za-z0-9_-]{43})\.([a-z0-9._-]{1,255})$/;

export function formatJoinToken({ mesh, rootHash, secret }: JoinToken): string {
  const hash = Buffer.from(rootHash, "hex").toString("base64url");
  return `ashlar1.${Buffer.from(secret).toString("base64url")}.${hash}.${mesh}`;
}

/**
 * Parses a token, which may have white space around it. Fails with `unauthenticated`; the message never repeats the
 * token.
 */
export function parseJoinToken(text: string): JoinToken {
  const [, secret = "", hash = "", mesh = ""] = form.exec(text.trim()) ?? [];
  if (mesh === "") {
    throw new AshlarError("unauthenticated", "not a join token: `ashlar token --service NAME` prints one");
  }
  const rootHash = Buffer.from(hash, "base64url").toString("hex");
  return { mesh, rootHash, secret: new Uint8Array(Buffer.from(secret, "base64url")) };
}

/** Returns the hash of a token's secret, which is all that a control plane stores of it. */
export function hashOfSecret(secret: Uint8Array): string {
  return createHash("sha256").update(secret).digest("hex");
}
