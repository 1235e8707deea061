/** The connections of each NATS user of a proxy, and which of them stay if there are too many. Pure. */
import { AshlarError } from "../../core/errors.js";

export interface UserConnection {
  /** The server's id; `client`: the client's number on that server. */
  readonly server: string;
  readonly client: number;
  /** When the JWT that the connection presented was signed, in Unix seconds. */
  readonly issuedAt: number;
}

export interface ConnectedUser {
  readonly proxyId: string;
  /** The connections by "SERVER/CLIENT", the oldest first. */
  readonly connections: Map<string, UserConnection>;
}

/** The most connections of a user. A proxy makes one; those that a partition left behind are gone within a minute. */
export const connectionsMax = 32;

/** A user that had too many connections. */
export interface Excess {
  readonly proxyId: string;
  readonly atMs: number;
  /** When this was last logged, on the monotonic clock. */
  saidMs: number;
  /** True if all connections of the user were ended, because the server cannot end them one by one. */
  refused: boolean;
}

export const connectionId = (server: string, client: number): string => `${server}/${client}`;

/**
 * Adds a connection. The server has verified the JWT; its name is the id of the proxy that it was minted for. Fails
 * with `invalid_record` if the JWT is malformed.
 */
export function noteConnection(
  users: Map<string, ConnectedUser>,
  { user, jwt, server, client }: Pick<UserConnection, "server" | "client"> & { user: string; jwt: string },
): void {
  if (user === "" || jwt === "") return;
  const { name, iat } = claimsOf(jwt);
  const known = users.get(user) ?? { proxyId: name, connections: new Map<string, UserConnection>() };
  known.connections.set(connectionId(server, client), { server, client, issuedAt: iat });
  users.set(user, known);
}

/**
 * Reads the claims without verifying their signature: that would take 75 ms, and all proxies connect at once after a
 * restart of NATS.
 */
function claimsOf(jwt: string): { readonly name: string; readonly iat: number } {
  const [, payload = ""] = jwt.split(".");
  try {
    const { name, iat } = JSON.parse(Buffer.from(payload, "base64url").toString());
    if (typeof name === "string" && typeof iat === "number") return { name, iat };
  } catch {
    // reported below
  }
  throw new AshlarError("invalid_record", "the JWT of a connection to NATS cannot be read");
}

/**
 * Returns the connections that stay when a user has too many: the oldest one, which is the proxy's own if the proxy was
 * there first, and the oldest one with the newest JWT, which is the proxy's own if it has renewed since the theft.
 */
export function chooseKept({ connections }: Pick<ConnectedUser, "connections">): ReadonlySet<UserConnection> {
  const all = [...connections.values()];
  const newest = Math.max(...all.map(({ issuedAt }) => issuedAt));
  return new Set([...all.slice(0, 1), ...all.filter(({ issuedAt }) => issuedAt === newest).slice(0, 1)]);
}

export function renderExcess({ proxyId, refused }: Excess): string {
  const done = refused
    ? "they were ended, and its user is refused until it renews its certificate, within an hour"
    : "those too many are ended, its own stays";
  return `proxy ${proxyId} had more than ${connectionsMax} connections to NATS: ${done}; look at that host, and revoke the proxy if its credential was taken`;
}
