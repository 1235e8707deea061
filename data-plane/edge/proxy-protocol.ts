/** PROXY protocol, version 2 (haproxy.org): a balancer states first whose connection it forwards. Pure. */

/** The source in a header; undefined: the connection is the balancer's own, for its health checks. */
export type ProxiedSource = { readonly address: string } | undefined;

const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
/** The bytes of the fixed part of a header, which states the length of the rest. */
export const proxyHeadBytes = 16;
/** The most bytes of the rest: addresses take 36 bytes, and what balancers add (TLVs) a few hundred. */
const restBytesMax = 2048;
const command = { local: 0x20, proxy: 0x21 } as const;
const overTcp = { ipv4: 0x11, ipv6: 0x21 } as const;
const addressBytes = { ipv4: 12, ipv6: 36 } as const;

/** Returns the number of bytes after the head, or undefined if it is not of version 2. */
export function restOf(head: Buffer): number | undefined {
  if (head.length !== proxyHeadBytes || !head.subarray(0, signature.length).equals(signature)) return undefined;
  const what = head[12];
  if (what !== command.local && what !== command.proxy) return undefined;
  const rest = head.readUInt16BE(14);
  return rest <= restBytesMax ? rest : undefined;
}

/**
 * Returns the source that the header states, or "refused" if it names no address of a TCP connection. `head` was read
 * by `restOf`.
 */
export function readSource(head: Buffer, rest: Buffer): ProxiedSource | "refused" {
  if (head[12] === command.local) return undefined;
  if (head[13] === overTcp.ipv4 && rest.length >= addressBytes.ipv4)
    return { address: [...rest.subarray(0, 4)].join(".") };
  if (head[13] !== overTcp.ipv6 || rest.length < addressBytes.ipv6) return "refused";
  const groups = Array.from({ length: 8 }, (_, index) => rest.readUInt16BE(2 * index));
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return {
    address: mapped ? [...rest.subarray(12, 16)].join(".") : groups.map((group) => group.toString(16)).join(":"),
  };
}
