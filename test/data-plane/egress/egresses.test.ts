/** What is outside: names that DNS moves, addresses that point inside, and policy that says what is an egress at all. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { TrustedEgress } from "../../../core/egress/trusted-egress.js";
import type { Endpoint } from "../../../core/model.js";
import { Egresses, type EgressOptions } from "../../../data-plane/egress/egresses.js";
import { whyInside } from "../../../data-plane/egress/inside.js";
import { MeshPorts } from "../../../data-plane/egress/mesh-ports.js";
import { type DnsResolver, resolveHost } from "../../../data-plane/egress/resolve-host.js";
import type { EvaluatedPolicy, FollowedEndpoints } from "../../../data-plane/ports.js";
import { silentLogger } from "../../../runtime/log.js";
import type { AfterTime } from "../../../runtime/lost-time.js";
import { Networks } from "../../../runtime/networks.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { FakeEndpoints, FakeTrust } from "../../support/proxy-fakes.js";

const after: AfterTime = () => () => {};
const outside = new Set(["cards"]);
const current = { unit: (name: string) => ({ isOutside: outside.has(name) }) } as unknown as EvaluatedPolicy;
const cards: TrustedEgress = {
  ...{ name: "cards", address: "api.cards.example:443", serverName: "", ca: "", clientKeyName: "", clientCert: "" },
  ...{ allowAddresses: [], through: "" },
};

class FollowedFake extends FakeEndpoints implements FollowedEndpoints {
  tell: (service: string) => void = () => {};

  onChange(listener: (service: string) => void): () => void {
    this.tell = listener;
    return () => {};
  }

  set(service: string, all: readonly Endpoint[]): void {
    this.all.push(...all);
    this.tell(service);
  }
}

class FakeDns implements DnsResolver {
  answers: readonly { readonly address: string; readonly ttl: number }[] = [];
  fails: string | undefined;
  asked = 0;

  // biome-ignore lint/suspicious/noExplicitAny: one of several signatures of node:dns
  resolve4: any = async () => {
    this.asked++;
    if (this.fails !== undefined) throw Object.assign(new Error(this.fails), { code: this.fails });
    return this.answers;
  };
  // biome-ignore lint/suspicious/noExplicitAny: one of several signatures of node:dns
  resolve6: any = async () => {
    throw Object.assign(new Error("none"), { code: "ENODATA" });
  };
}

describe("egresses", () => {
  let clock: ManualClock;
  let dns: FakeDns;
  let trust: FakeTrust;
  let endpoints: FollowedFake;
  let egresses: Egresses;
  let changed: string[];

  function open(options: Partial<EgressOptions> = {}): Egresses {
    egresses = new Egresses(
      { policy: { current }, trust, endpoints, clock, log: silentLogger, resolver: dns },
      { keys: [], dns: [], own: [], ...options },
    );
    egresses.onChange((service) => changed.push(service));
    return egresses;
  }
  const addresses = (): readonly string[] => egresses.endpoints("cards").map(({ address }) => address);
  const set = (...all: readonly TrustedEgress[]): void => {
    trust.egresses = all;
    trust.changed();
  };

  beforeEach(() => {
    [clock, dns, trust, endpoints, changed] = [
      new ManualClock(),
      new FakeDns(),
      new FakeTrust([]),
      new FollowedFake(),
      [],
    ];
    trust.egresses = [cards];
    dns.answers = [{ address: "93.184.216.34", ttl: 60 }];
  });
  afterEach(() => egresses.close());

  test("have the addresses of DNS as endpoints, asked for again when the answer's time is over", async () => {
    open();
    expect([addresses(), dns.asked]).toEqual([[], 0]); // nothing is asked before somebody calls
    await egresses.ready("cards");
    expect(addresses()).toEqual(["93.184.216.34:443"]);
    const [same] = egresses.endpoints("cards");
    dns.answers = [...dns.answers, { address: "93.184.216.35", ttl: 60 }];
    await clock.advance(59_000);
    expect([dns.asked, addresses()]).toEqual([1, ["93.184.216.34:443"]]);
    await clock.advance(2000);
    expect([dns.asked, addresses()]).toEqual([2, ["93.184.216.34:443", "93.184.216.35:443"]]);
    expect(egresses.endpoints("cards")[0]).toBe(same); // what is known of an address goes on
    expect(changed).toEqual(["cards", "cards"]);
  });

  test("an answer that is good for no time is asked for every 5 s, one for a day every 5 minutes (I8)", async () => {
    dns.answers = [{ address: "93.184.216.34", ttl: 0 }];
    open();
    await egresses.ready("cards");
    await clock.advance(26_000);
    expect(dns.asked).toBe(6);
    dns.answers = [{ address: "93.184.216.34", ttl: 86_400 }];
    await clock.advance(5000);
    await clock.advance(298_000);
    expect(dns.asked).toBe(7);
    await clock.advance(2000);
    expect(dns.asked).toBe(8);
  });

  test("DNS rebinding: a name that turns to an address inside has no address any more", async () => {
    dns.answers = [{ address: "93.184.216.34", ttl: 5 }];
    open();
    await egresses.ready("cards");
    expect(addresses()).toEqual(["93.184.216.34:443"]);
    for (const address of ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "fd00::1"]) {
      dns.answers = [{ address, ttl: 5 }];
      await clock.advance(6000);
      expect([address, addresses()]).toEqual([address, []]);
      expect(egresses.whyNone("cards")).toMatch(/is not public, and no --allow-address/);
    }
    dns.answers = [
      { address: "169.254.169.254", ttl: 5 },
      { address: "93.184.216.34", ttl: 5 },
    ];
    await clock.advance(6000);
    expect(addresses()).toEqual(["93.184.216.34:443"]);
  });

  test("a network that an operator lists is let through, and no other", async () => {
    dns.answers = ["10.1.2.3", "10.2.2.3", "127.0.0.1"].map((address) => ({ address, ttl: 60 }));
    trust.egresses = [{ ...cards, allowAddresses: ["10.1.0.0/16"] }];
    open();
    await egresses.ready("cards");
    expect(addresses()).toEqual(["10.1.2.3:443"]);
  });

  test("the mesh's own ports are refused even in a listed network", async () => {
    dns.answers = [{ address: "127.0.0.1", ttl: 60 }];
    trust.egresses = [{ ...cards, allowAddresses: ["127.0.0.0/8"] }];
    open({ own: [{ what: "NATS", host: "0.0.0.0", port: 443 }] });
    await egresses.ready("cards");
    expect(addresses()).toEqual([]);
    expect(egresses.whyNone("cards")).toContain("127.0.0.1 is a port of the mesh (NATS)");
  });

  test("a port of the mesh that is opened after DNS has answered is not dialled", async () => {
    dns.answers = [{ address: "127.0.0.1", ttl: 60 }];
    trust.egresses = [{ ...cards, allowAddresses: ["127.0.0.0/8"] }];
    const ports = new MeshPorts();
    open({ own: ports.all });
    await egresses.ready("cards");
    const [endpoint] = egresses.endpoints("cards");
    if (endpoint === undefined) throw new Error("no address");
    const settings = { service: "echo", upstreams: [], inbound: { host: "127.0.0.1", port: 0 } };
    const config = settings as unknown as Parameters<MeshPorts["add"]>[0];
    ports.add(config, [{ what: "inbound of echo", address: { host: "127.0.0.1", port: 443 } }]);
    ports.add(config);
    await expect(egresses.dial(endpoint, after)).rejects.toThrow("127.0.0.1 is a port of the mesh (inbound of echo)");
    expect(ports.all).toEqual([{ what: "inbound of echo", host: "127.0.0.1", port: 443 }]);
    ports.forget(config);
    expect(ports.all).toEqual([]);
  });

  test("an address that was a port of the mesh is called as soon as it is none, and no longer once it is one", async () => {
    for (const address of ["127.0.0.1", "api.cards.example"]) {
      dns.answers = [{ address: "127.0.0.1", ttl: 3600 }];
      trust.egresses = [{ ...cards, address: `${address}:443`, allowAddresses: ["127.0.0.0/8"] }];
      const ports = new MeshPorts();
      const settings = { service: "echo", upstreams: [], inbound: { host: "127.0.0.1", port: 443 } };
      const config = settings as unknown as Parameters<MeshPorts["add"]>[0];
      ports.add(config);
      open({ own: ports.all });
      ports.onChange(() => egresses.portsChanged());
      await egresses.ready("cards");
      expect(addresses()).toEqual([]);
      ports.forget(config);
      expect([addresses(), egresses.whyNone("cards")]).toEqual([["127.0.0.1:443"], ""]);
      ports.add(config);
      expect(addresses()).toEqual([]);
      egresses.close();
    }
  });

  test("addresses are kept while no DNS server answers, for ten minutes, and are gone when the name is", async () => {
    open();
    await egresses.ready("cards");
    dns.fails = "ESERVFAIL";
    await clock.advance(61_000);
    expect(addresses()).toEqual(["93.184.216.34:443"]);
    await clock.advance(600_000);
    expect(addresses()).toEqual([]);
    dns.fails = undefined;
    await clock.advance(30_000);
    expect(addresses()).toEqual(["93.184.216.34:443"]);
    dns.fails = "ENOTFOUND";
    await clock.advance(61_000);
    expect([addresses(), egresses.whyNone("cards")]).toEqual([
      [],
      "cards is not reached: api.cards.example has no address in DNS",
    ]);
  });

  test("an IP address needs no DNS", async () => {
    trust.egresses = [{ ...cards, address: "[2606:2800:220:1::1]:8443" }];
    open();
    await egresses.ready("cards");
    expect([addresses(), dns.asked]).toEqual([["[2606:2800:220:1::1]:8443"], 0]);
    expect(egresses.find("cards")).toEqual({ isDirect: true, gateway: "", authority: "[2606:2800:220:1::1]:8443" });
  });

  test("set anew, removed, and set again: what is asked for is what the trust log says", async () => {
    open();
    await egresses.ready("cards");
    const { asked } = dns;
    set({ ...cards }); // the same in other words
    expect(addresses()).toEqual(["93.184.216.34:443"]);
    set({ ...cards, address: "api.cards.example:8443" });
    expect(addresses()).toEqual([]);
    await egresses.ready("cards");
    expect([addresses(), dns.asked]).toEqual([["93.184.216.34:8443"], asked + 1]);
    set();
    expect([addresses(), egresses.find("cards")]).toEqual([[], undefined]);
    expect(egresses.whyNone("cards")).toContain("ashlar egress set cards");
    await clock.advance(600_000);
    expect(dns.asked).toBe(asked + 1); // nobody asks for what is gone
  });

  test("I5: what is a service in policy never leaves the mesh, and what is an Egress never goes to a proxy", async () => {
    const proxy = { proxyId: "p", service: "cards", address: "127.0.0.1:1", instance: "i" } as Endpoint;
    endpoints.set("cards", [proxy]);
    endpoints.set("payments", [{ ...proxy, service: "payments" }]);
    trust.egresses = [cards, { ...cards, name: "payments" }];
    open();
    await Promise.all([egresses.ready("cards"), egresses.ready("payments")]);
    expect(addresses()).toEqual(["93.184.216.34:443"]);
    expect(egresses.endpoints("payments").map(({ address }) => address)).toEqual(["127.0.0.1:1"]);
    expect(egresses.endpoints("payments").map((one) => [egresses.isOutside(one), egresses.dial(one, after)])).toEqual([
      [false, undefined],
    ]);
  });

  test("through a gateway they have the gateway's endpoints, and follow them", async () => {
    const gateway = { proxyId: "g", service: "gateway/out", address: "10.0.0.9:7", instance: "i" } as Endpoint;
    trust.egresses = [{ ...cards, through: "out" }];
    open();
    await egresses.ready("cards");
    expect([addresses(), dns.asked]).toEqual([[], 0]);
    expect(egresses.whyNone("cards")).toBe("no gateway out is there, through which cards is called");
    endpoints.set("gateway/out", [gateway]);
    expect(addresses()).toEqual(["10.0.0.9:7"]);
    const [one] = egresses.endpoints("cards");
    expect(one && [one.service, egresses.gatewayOf(one), egresses.isOutside(one)]).toEqual([
      "cards",
      "gateway/out",
      false,
    ]);
    expect(changed).toContain("cards");
    await settle();
  });
});

test("an answer of many addresses is cut, and repeated ones count once (I8)", async () => {
  const dns = new FakeDns();
  dns.answers = Array.from({ length: 200 }, (_, index) => ({ address: `93.184.${index % 100}.1`, ttl: 60 }));
  expect((await resolveHost(dns, "many.example")).addresses).toHaveLength(64);
});

test.each([
  ["127.0.0.1", "127.0.0.1", true],
  ["127.0.0.1", "localhost", true],
  ["127.0.0.2", "0.0.0.0", true],
  ["::ffff:10.0.0.1", "10.0.0.1", true],
  ["10.0.0.1", "10.0.0.2", false],
  ["93.184.216.34", "0.0.0.0", false],
])("%s is a port of the mesh that listens at %s: %s", (address, host, isOwn) => {
  const all = new Networks(["0.0.0.0/0", "::/0"]);
  const why = whyInside(address, 443, all, [{ what: "NATS", host, port: 443 }]);
  expect(why).toBe(isOwn ? "is a port of the mesh (NATS)" : undefined);
  expect(whyInside(address, 444, all, [{ what: "NATS", host, port: 443 }])).toBeUndefined();
});
