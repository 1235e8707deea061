/**
 * Decides which addresses external destinations may have unless an operator allows more: none that belong to this
 * machine or its network.
 */
import { BlockList, isIPv4 } from "node:net";

/** Two lists, because a single one would match IPv4 addresses against the IPv6 ranges that stand for them. */
const [notPublic4, notPublic6] = [new BlockList(), new BlockList()];
for (const [address, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  notPublic4.addSubnet(address, prefix, "ipv4");
}
for (const [address, prefix] of [
  ["::", 96], // unspecified, loopback, and IPv4 in its deprecated IPv6 form
  ["::ffff:0:0", 96], // IPv4 in today's: nobody needs it here
  ["64:ff9b::", 96], // NAT64, which may lead to any IPv4 address
  ["64:ff9b:1::", 48],
  ["2001::", 32], // Teredo
  ["2002::", 16], // 6to4
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
] as const) {
  notPublic6.addSubnet(address, prefix, "ipv6");
}

/** Returns whether an IP address is public: not loopback, link-local, private, shared or multicast. */
export function isPublicAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, "");
  return isIPv4(plain) ? !notPublic4.check(plain, "ipv4") : !notPublic6.check(plain, "ipv6");
}
