/**
 * Decides which addresses are internal: no external name may lead a call to them unless an operator has allowed them.
 */
import { networkInterfaces } from "node:os";
import type { HostPort } from "../../runtime/config.js";
import { Networks, plainIp } from "../../runtime/networks.js";
import { isPublicAddress } from "../../runtime/public-address.js";

/** Plain data. */
export interface MeshPort extends HostPort {
  /** What listens on the port, for people. */
  readonly what: string;
}

const loopback = new Networks(["127.0.0.0/8", "::1/128"]);
const anyAddress: ReadonlySet<string> = new Set(["0.0.0.0", "::", ""]);

/**
 * Returns why calls may not go to `address`, or undefined. `allowed`: the networks that an operator has listed; they do
 * not open the mesh's own ports.
 */
export function whyInside(
  address: string,
  port: number,
  allowed: Networks,
  own: readonly MeshPort[],
): string | undefined {
  const plain = plainIp(address);
  const taken = own.find((one) => one.port === port && isAt(plain, one.host));
  if (taken !== undefined) return `is a port of the mesh (${taken.what})`;
  if (isPublicAddress(plain) || allowed.has(plain)) return undefined;
  return "is not public, and no --allow-address of `ashlar egress set` lists it";
}

/** Returns whether a listener at `host` can be reached by `address`. */
function isAt(address: string, host: string): boolean {
  const there = plainIp(host === "localhost" ? "127.0.0.1" : host);
  if (there === address) return true;
  if (!anyAddress.has(there)) return false;
  return loopback.has(address) || anyAddress.has(address) || ownAddresses().has(address);
}

function ownAddresses(): ReadonlySet<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => plainIp(address))),
  );
}
