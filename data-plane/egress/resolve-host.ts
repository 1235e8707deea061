/** Resolves a host name by asking DNS servers, and returns how long the answer is valid. */
import type { Resolver } from "node:dns/promises";
import { AshlarError, messageOf } from "../../core/errors.js";

/** The part of a resolver that is used. node:dns' Resolver sends its own packets, so no thread waits for an answer. */
export type DnsResolver = Pick<Resolver, "resolve4" | "resolve6">;

export interface ResolvedHost {
  /** The addresses, sorted, at least one. */
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

/** The least and the most milliseconds for which an answer is valid, whatever it states. */
const ttlMsMin = 5000;
const ttlMsMax = 300_000;
const addressesMax = 64;
/** The error codes of a server's answer that there is no such address. */
const isNone: ReadonlySet<string | undefined> = new Set(["ENODATA", "ENOTFOUND"]);

/**
 * Asks for the IPv4 and IPv6 addresses of `host`. Fails with `not_found` if it has none, and with `unavailable` if no
 * server answers.
 */
export async function resolveHost(resolver: DnsResolver, host: string): Promise<ResolvedHost> {
  const asked = await Promise.allSettled([
    resolver.resolve4(host, { ttl: true }),
    resolver.resolve6(host, { ttl: true }),
  ]);
  const found = asked.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  const failure = asked.find((one) => one.status === "rejected" && !isNone.has(codeOf(one.reason)));
  if (found.length === 0 && failure?.status === "rejected")
    throw new AshlarError("unavailable", `${host} cannot be resolved: ${messageOf(failure.reason)}`);
  if (found.length === 0) throw new AshlarError("not_found", `${host} has no address in DNS`);
  const addresses = [...new Set(found.map(({ address }) => address))].sort().slice(0, addressesMax);
  const ttlMs = Math.min(...found.map(({ ttl }) => ttl)) * 1000;
  return { addresses, ttlMs: Math.min(ttlMsMax, Math.max(ttlMsMin, ttlMs)) };
}

function codeOf(reason: unknown): string | undefined {
  return (reason as NodeJS.ErrnoException).code;
}
