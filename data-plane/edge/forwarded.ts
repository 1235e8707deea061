/** Finds the client behind listed hops (balancers and HTTP proxies) by `x-forwarded-for`. Pure. */
import { isIP } from "node:net";
import type { Networks } from "../../runtime/networks.js";
import { plainIp } from "../../runtime/networks.js";

export interface Forwarded {
  /** The address that limits count: the nearest one that is not a listed hop. */
  readonly client: string;
  /** The header for the service: what listed hops stated, and the address that was seen. */
  readonly header: string;
}

/** The most hops of a chain; a longer one is cut at the far end, for which nobody vouches. */
const hopsMax = 32;

/**
 * `seen`: the address at the other end of the connection. `said`: the request's own `x-forwarded-for`. It counts only
 * as far as listed hops wrote it, each of which appends the address that it saw.
 */
export function forwardedFor(seen: string, said: string | undefined, hops: Networks | undefined): Forwarded {
  if (hops === undefined || said === undefined || !hops.has(seen)) return { client: seen, header: seen };
  const chain = said
    .split(",")
    .map((part) => plainIp(part.trim()))
    .slice(-hopsMax);
  const kept: string[] = [];
  let client = seen;
  for (const one of chain.reverse()) {
    if (isIP(one) === 0) break; // whoever wrote that is no hop that we know
    kept.unshift(one);
    client = one;
    if (!hops.has(one)) break; // what a client says of itself counts for nothing
  }
  return { client, header: [...kept, seen].join(", ") };
}
