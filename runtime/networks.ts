/** Networks of IP addresses in CIDR notation. */
import { BlockList, isIP } from "node:net";

/** A set of networks. IPv4 and IPv6 addresses are kept apart; an IPv4 address in IPv6 form counts as IPv4. */
export class Networks {
  readonly #v4 = new BlockList();
  readonly #v6 = new BlockList();

  /** Fails with a `RangeError` on a text that is no network. */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const [address = "", prefix = "", ...more] = text.split("/");
      const family = isIP(address);
      const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
      if (family === 0 || more.length > 0 || bits < 0 || bits > (family === 4 ? 32 : 128))
        throw new RangeError(`expected a network such as 10.1.0.0/16 or fd00::/8, got ${JSON.stringify(text)}`);
      if (family === 4) this.#v4.addSubnet(address, bits, "ipv4");
      else this.#v6.addSubnet(address, bits, "ipv6");
    }
  }

  has(address: string): boolean {
    const plain = plainIp(address);
    const family = isIP(plain);
    return family === 4 ? this.#v4.check(plain, "ipv4") : family === 6 && this.#v6.check(plain, "ipv6");
  }
}

/** Returns the address without its zone, and an IPv4 address instead of its IPv6 form. */
export function plainIp(address: string): string {
  const bare = address.replace(/%.*$/, "");
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
}
