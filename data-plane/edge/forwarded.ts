/** Who a client is behind listed hops (balancers and proxies of HTTP), by `x-forwarded-for`. Pure. */
import { isIP } from "node:net";
import type { Networks } from "../../runtime/networks.js";
import { plainIp } from "../../runtime/networks.js";

export interface Forwarded {
  /** The address that limits count: the nearest one that is no listed hop. */
  readonly client: string;
  /** What the service is told: what listed hops said, and the address that was seen. */
  readonly header: string;
}

/** A longer chain is cut on the far side, which nobody vouches for. */
const hopsMax = 32;

/**
 * `seen`: the address at the other end. `said`: the request's own `x-forwarded-for`, which counts only as far as listed
 * hops wrote it: each of them appends the address that it saw.
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
