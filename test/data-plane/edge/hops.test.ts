/** What is in front of a gateway: balancers that speak PROXY protocol, and hops that write x-forwarded-for. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { forwardedFor } from "../../../data-plane/edge/forwarded.js";
import { ProxiedSources } from "../../../data-plane/edge/proxied-sources.js";
import { proxyHeadBytes, readSource, restOf } from "../../../data-plane/edge/proxy-protocol.js";
import { Networks } from "../../../runtime/networks.js";

const hops = new Networks(["10.0.0.0/8", "fd00::/8"]);

describe("x-forwarded-for", () => {
  test.each([
    ["of a stranger", "93.184.216.34", "1.1.1.1", "93.184.216.34", "93.184.216.34"],
    ["of a hop", "10.0.0.1", "93.184.216.34", "93.184.216.34", "93.184.216.34, 10.0.0.1"],
    ["of two hops", "10.0.0.1", "93.184.216.34, 10.0.0.2", "93.184.216.34", "93.184.216.34, 10.0.0.2, 10.0.0.1"],
    ["with what the client made up", "10.0.0.1", "1.1.1.1, 93.184.216.34", "93.184.216.34", "93.184.216.34, 10.0.0.1"],
    ["that is no address", "10.0.0.1", "1.1.1.1, unknown, 93.184.216.34", "93.184.216.34", "93.184.216.34, 10.0.0.1"],
    ["of nothing but hops", "10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"],
    ["that ends in nonsense", "10.0.0.1", "93.184.216.34, x", "10.0.0.1", "10.0.0.1"],
    ["of IPv6", "fd00::1", "2606:2800:220:1::1", "2606:2800:220:1::1", "2606:2800:220:1::1, fd00::1"],
    ["of IPv4 in IPv6", "10.0.0.1", "::ffff:93.184.216.34", "93.184.216.34", "93.184.216.34, 10.0.0.1"],
  ])("%s", (_what, seen, said, client, header) => {
    expect(forwardedFor(seen, said, hops)).toEqual({ client, header });
  });

  test("without listed hops the address that was seen is all that counts", () => {
    expect(forwardedFor("10.0.0.1", "1.1.1.1", undefined)).toEqual({ client: "10.0.0.1", header: "10.0.0.1" });
    expect(forwardedFor("10.0.0.1", undefined, hops)).toEqual({ client: "10.0.0.1", header: "10.0.0.1" });
  });

  test("of a client behind a hop never makes it somebody else, whatever it writes", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.ipV4(), fc.string({ maxLength: 8 })), { maxLength: 50 }), (made) => {
        const said = [...made, "93.184.216.34"].join(",");
        const { client, header } = forwardedFor("10.0.0.1", said, hops);
        expect([client, header]).toEqual(["93.184.216.34", "93.184.216.34, 10.0.0.1"]);
      }),
    );
  });
});

/** A header of version 2; `rest`: addresses and what follows them. */
function proxyHeader(what: number, family: number, rest: readonly number[]): Buffer {
  const head = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
  return Buffer.concat([head, Buffer.from([what, family, rest.length >> 8, rest.length & 255, ...rest])]);
}
const overIpv4 = (...address: readonly number[]) =>
  proxyHeader(0x21, 0x11, [...address, 127, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb]);

describe("a header of PROXY protocol", () => {
  const read = (bytes: Buffer) => {
    const head = bytes.subarray(0, proxyHeadBytes);
    return restOf(head) === undefined ? "no head" : readSource(head, bytes.subarray(proxyHeadBytes));
  };
  const ipv6 = [0x26, 0x06, 0x28, 0, 2, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 93, 184, 216, 34];
  const rest = Array.from({ length: 20 }, () => 0);

  test.each([
    ["IPv4", overIpv4(93, 184, 216, 34), { address: "93.184.216.34" }],
    ["IPv6", proxyHeader(0x21, 0x21, [...ipv6, ...rest]), { address: "2606:2800:220:1:0:0:0:1" }],
    ["IPv4 in IPv6", proxyHeader(0x21, 0x21, [...mapped, ...rest]), { address: "93.184.216.34" }],
    ["with more behind the addresses", proxyHeader(0x21, 0x11, [1, 2, 3, 4, ...rest]), { address: "1.2.3.4" }],
    ["the balancer's own", proxyHeader(0x20, 0, []), undefined],
    ["over UDP", proxyHeader(0x21, 0x12, [1, 2, 3, 4, ...rest]), "refused"],
    ["of a Unix socket", proxyHeader(0x21, 0x31, rest), "refused"],
    ["with half an address", proxyHeader(0x21, 0x11, [1, 2]), "refused"],
    ["of version 1", Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), "no head"],
    ["of version 3", proxyHeader(0x31, 0x11, rest), "no head"],
    [
      "that is too long",
      proxyHeader(
        0x21,
        0x11,
        Array.from({ length: 3000 }, () => 0),
      ),
      "no head",
    ],
  ])("%s", (_what, bytes, found) => expect(read(bytes)).toEqual(found));
});

describe("a balancer in front", () => {
  const servers: Server[] = [];
  const clients: Socket[] = [];
  afterEach(async () => {
    for (const one of clients.splice(0)) one.destroy();
    await Promise.all(servers.splice(0).map((one) => new Promise((resolve) => one.close(resolve))));
  });

  /** Returns what the first connection brings and where it is from, or "closed". */
  async function send(
    from: string,
    ...parts: readonly Buffer[]
  ): Promise<readonly [string | undefined, string] | "closed"> {
    const sources = new ProxiedSources(new Networks([from]));
    let passed: ((found: readonly [string | undefined, string]) => void) | undefined;
    const found = new Promise<readonly [string | undefined, string]>((resolve) => {
      passed = resolve;
    });
    const server = createServer((socket) =>
      sources.front(
        socket,
        (one) => {
          one.once("data", (bytes) => passed?.([sources.sourceOf(one), bytes.toString("latin1")]));
        },
        () => () => {},
      ),
    ).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    clients.push(client);
    client.on("error", () => {});
    const closed = once(client, "close").then(() => "closed" as const);
    for (const part of parts) await new Promise((resolve) => client.write(part, resolve));
    return Promise.race([found, closed]);
  }
  const hello = Buffer.from("hello");

  test("is believed, byte by byte as well, and what follows is passed on untouched", async () => {
    const header = overIpv4(93, 184, 216, 34);
    expect(await send("127.0.0.0/8", header, hello)).toEqual(["93.184.216.34", "hello"]);
    const single = [...header].map((byte) => Buffer.of(byte));
    expect(await send("127.0.0.0/8", ...single, hello)).toEqual(["93.184.216.34", "hello"]);
    expect(await send("127.0.0.0/8", Buffer.concat([header, hello]))).toEqual(["93.184.216.34", "hello"]);
  });

  test("speaks for itself in health checks", async () => {
    expect(await send("127.0.0.0/8", proxyHeader(0x20, 0, []), hello)).toEqual(["127.0.0.1", "hello"]);
  });

  test("that says something else is not let in", async () => {
    expect(await send("127.0.0.0/8", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))).toBe("closed");
    expect(await send("127.0.0.0/8", proxyHeader(0x21, 0x11, [1, 2]))).toBe("closed");
  });

  test("is nobody else: what a stranger writes in its form is passed on as its bytes", async () => {
    const header = overIpv4(93, 184, 216, 34);
    expect(await send("10.0.0.0/8", header)).toEqual(["127.0.0.1", header.toString("latin1")]);
  });
});
