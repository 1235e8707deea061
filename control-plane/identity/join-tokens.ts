/**
 * Join tokens for a service and version, or for one more control plane. Only a hash of their secret is stored. They are
 * on disk before they are given out or accepted, and their number and lifetime are bounded.
 */
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";
import { isLabel, isWorkload } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";
import { makePrivateFolder, readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import { formatJoinToken, hashOfSecret, parseJoinToken, tokenSecretBytes } from "../../runtime/join-token.js";

export interface TokenRequest {
  /** The service whose proxies may join by the token; otherwise `controlPlane` must be given. */
  readonly service?: string | undefined;
  /** The name of the control plane that may join by it. */
  readonly controlPlane?: string | undefined;
  /** The version of the proxies. Default: "v1". */
  readonly version?: string | undefined;
  /** Lifetime in milliseconds, at most 30 days. Default: 10 minutes. */
  readonly ttlMs?: number | undefined;
  /** The number of keys that may join with the token. Default: 1. */
  readonly uses?: number | undefined;
}

export interface MintedToken {
  readonly token: string;
  readonly controlPlane: string | undefined;
  readonly service: string;
  readonly version: string;
  readonly expiresMs: number;
  readonly uses: number;
}

/** The identity that a redeemed token gives its holder. */
export interface TokenGrant {
  /** The service of the proxy; empty: the holder is a control plane. */
  readonly service: string;
  /** The control plane's name; undefined: the holder is a proxy. */
  readonly controlPlane: string | undefined;
  readonly version: string;
  /**
   * The proxy id or control plane name that was stored when this key first used the token; undefined at the first use.
   */
  readonly proxyId: string | undefined;
}

export interface JoinTokens {
  /** Mints a token. Fails with `invalid_argument`, and with `limit` if too many tokens are unused. */
  createToken(request: TokenRequest): MintedToken;
  /**
   * Accepts `token` for the key with this thumbprint, and again for the same key until it expires. `nameProxy` returns
   * the id that is stored with the use. Fails with `unauthenticated` if the token is unknown, was used by another key,
   * or has expired.
   */
  redeem(token: string, thumbprint: string, nameProxy: (service: string) => string): TokenGrant & { proxyId: string };
  /** Returns what `redeem` would return, without using the token. */
  check(token: string, thumbprint: string): TokenGrant;
}

export interface JoinTokensOptions {
  /** The data folder. */
  readonly dir: string;
  readonly mesh: string;
  readonly rootHash: string;
  readonly clock: Clock;
  readonly random: (count: number) => Uint8Array;
}

interface StoredToken {
  /** The service; empty if the token is for a control plane. */
  readonly service: string;
  readonly controlPlane?: string;
  readonly version: string;
  readonly expiresMs: number;
  readonly uses: number;
  /** The proxy's id, by the thumbprint of the key that joined. */
  readonly redeemed: Readonly<Record<string, string>>;
}

const ttlDefaultMs = 600_000;
const ttlMaxMs = 30 * 86_400_000;
const usesMax = 1000;
const tokensMax = 10_000;
const rememberMs = 86_400_000; // for a day the message says that the token has expired, afterwards that it is unknown

/** Opens the tokens that are stored in `dir`. */
export function openJoinTokens({ dir, mesh, rootHash, clock, random }: JoinTokensOptions): JoinTokens {
  const folder = join(dir, "identity");
  makePrivateFolder(folder);
  const path = join(folder, "tokens.json");
  let tokens = readTokens(path);

  const store = (hash: string, token: StoredToken): void => {
    const nowMs = clock.nowMs();
    const next = new Map([...tokens].filter(([, { expiresMs }]) => expiresMs > nowMs - rememberMs));
    next.set(hash, token);
    writeDurably(path, JSON.stringify({ tokens: Object.fromEntries(next) }));
    tokens = next;
  };

  const find = (text: string): { hash: string; token: StoredToken } => {
    const parsed = parseJoinToken(text);
    if (parsed.mesh !== mesh || parsed.rootHash !== rootHash) {
      throw new AshlarError("unauthenticated", `unknown token: it is one of mesh ${parsed.mesh}, or of another root`);
    }
    const hash = hashOfSecret(parsed.secret);
    const token = tokens.get(hash);
    if (token === undefined) {
      throw new AshlarError("unauthenticated", "unknown token: only the control plane that made a token knows it");
    }
    if (clock.nowMs() >= token.expiresMs) {
      throw new AshlarError("unauthenticated", `the token expired at ${new Date(token.expiresMs).toISOString()}`);
    }
    return { hash, token };
  };

  const grant = ({ token }: { token: StoredToken }, thumbprint: string): TokenGrant => {
    const { service, version, uses, redeemed, controlPlane } = token;
    const proxyId = Object.hasOwn(redeemed, thumbprint) ? redeemed[thumbprint] : undefined;
    if (proxyId === undefined && Object.keys(redeemed).length >= uses) {
      throw new AshlarError("unauthenticated", "the token was used already: `ashlar token` prints a new one");
    }
    return { service, version, proxyId, controlPlane };
  };

  return {
    createToken: (request) => {
      const checked = checkRequest(request);
      const live = [...tokens.values()].filter(({ expiresMs }) => expiresMs > clock.nowMs() - rememberMs);
      if (live.length >= tokensMax) throw new AshlarError("limit", `${tokensMax} tokens are outstanding`);
      const secret = random(tokenSecretBytes);
      const expiresMs = clock.nowMs() + checked.ttlMs;
      const { service, version, uses, controlPlane } = checked;
      const named = controlPlane === undefined ? {} : { controlPlane };
      store(hashOfSecret(secret), { service, version, uses, expiresMs, redeemed: {}, ...named });
      const token = formatJoinToken({ mesh, rootHash, secret });
      return { token, service, version, uses, expiresMs, controlPlane };
    },
    redeem: (text, thumbprint, nameProxy) => {
      const found = find(text);
      const granted = grant(found, thumbprint);
      if (granted.proxyId !== undefined) return { ...granted, proxyId: granted.proxyId };
      const proxyId = nameProxy(granted.service);
      const { hash, token } = found;
      store(hash, { ...token, redeemed: { ...token.redeemed, [thumbprint]: proxyId } });
      return { ...granted, proxyId };
    },
    check: (text, thumbprint) => grant(find(text), thumbprint),
  };
}

function checkRequest(request: TokenRequest) {
  const { service = "", controlPlane, version = "v1", ttlMs = ttlDefaultMs, uses = 1 } = request;
  const refuse = (why: string): never => {
    throw new AshlarError("invalid_argument", `token: ${why}`);
  };
  if (controlPlane !== undefined) {
    if (service !== "") refuse("it is for a service or for a control plane, not for both");
    if (!isLabel(controlPlane)) refuse(`control plane ${JSON.stringify(controlPlane)} is not an RFC 1123 label`);
    if (uses !== 1) refuse("one of a control plane is good for one");
  } else if (!isWorkload(service))
    refuse(`service ${JSON.stringify(service)} is neither an RFC 1123 label nor the name of a gateway`);
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(version)) refuse(`version ${JSON.stringify(version)}`);
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > ttlMaxMs) refuse("it may live for up to 30 days");
  if (!Number.isSafeInteger(uses) || uses < 1 || uses > usesMax) refuse(`uses must be 1 to ${usesMax}`);
  return { service, version, ttlMs, uses, controlPlane };
}

function readTokens(path: string): ReadonlyMap<string, StoredToken> {
  const stored = readJsonIfThere(path)?.tokens ?? {};
  const tokens = new Map<string, StoredToken>();
  for (const [hash, value] of Object.entries(stored as Record<string, Partial<StoredToken>>)) {
    const { service, version, expiresMs, uses, redeemed, controlPlane } = value;
    if (
      typeof service !== "string" ||
      typeof version !== "string" ||
      typeof expiresMs !== "number" ||
      typeof uses !== "number" ||
      typeof redeemed !== "object"
    ) {
      throw new AshlarError("invalid_record", `${path} is damaged: remove it, its tokens become unknown`);
    }
    const named = typeof controlPlane === "string" ? { controlPlane } : {};
    tokens.set(hash, { service, version, expiresMs, uses, redeemed, ...named });
  }
  return tokens;
}
