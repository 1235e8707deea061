/** What is refused, and how the client is told. */
import { createServer } from "node:http2";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Limit } from "../../../core/kinds/rate-limit/rate-limit.js";
import { startByteServer } from "../../support/byte-service.js";
import { buildPolicy, everyone, issueIdentity, mesh } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, TestSide } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";
import { TestPki } from "../../support/test-pki.js";

const hello = Buffer.from("hello");
const denied = /^denied \(decision [0-9a-f]{24}, revision 2\)$/;
let seen: Metadata[] = [];

describe("enforcing", () => {
  let pair: ProxyPair;
  const raws: RawClient[] = [];
  const track = (raw: RawClient): RawClient => {
    raws.push(raw);
    return raw;
  };
  const onOutbound = (): RawClient => track(RawClient.unix(join(pair.dir, "out.sock")));
  const onInbound = async (service: string): Promise<RawClient> =>
    track(await RawClient.mtls(pair.address, issueIdentity(pair.pki, service), pair.pki.rootPem));

  /** In TLS 1.3 a client learns only after its own Finished that it is refused. */
  const isRefused = (attempt: Promise<RawClient>): Promise<boolean> =>
    attempt.then(
      (raw) => track(raw).isRefused(),
      () => true,
    );

  beforeEach(async () => {
    seen = [];
    pair = await ProxyPair.start({
      Unary: (call, callback) => {
        seen.push(call.metadata);
        callback(null, call.request);
      },
      Bidi: (call) => {
        seen.push(call.metadata);
        call.on("data", (chunk: Buffer) => call.write(chunk));
        call.on("end", () => call.end());
      },
    });
  });
  afterEach(() => {
    for (const raw of raws.splice(0)) raw.close();
    pair.stop();
  });

  test("I4: what no rule allows is denied, naming decision and revision and no rule; the application sees nothing", async () => {
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [{ from: ["other"], methods: ["*"] }] }]));
    const { error, trailers } = await pair.client().unary(hello);
    expect(error).toMatchObject({ code: status.PERMISSION_DENIED, details: expect.stringMatching(denied) });
    expect(trailers.get("ashlar-revision")).toEqual(["2"]);
    expect(error?.details).toContain(String(trailers.get("ashlar-decision")[0]));
    expect(seen).toEqual([]);
    expect(pair.callee.metrics.ended).toMatchObject([{ code: 7, reason: "denied" }]);
    const [decision] = pair.callee.decisions.decisions;
    expect(decision).toMatchObject({ verdict: "denied", rule: "default-deny", revision: 2, direction: "inbound" });
    expect(decision?.id).toBe(trailers.get("ashlar-decision")[0]);
  });

  test("I4: a revision that does not have the service denies", async () => {
    pair.callee.policy.switchTo(buildPolicy(2, []));
    const { error } = await pair.client().unary(hello);
    expect(error?.details).toMatch(denied);
  });

  test("over a rate limit: 8 with a pushback, the decision and the revision; a denied call costs nothing", async () => {
    const limits: Limit[] = [
      {
        ...{ per: ["caller", "header:x-tenant"], methods: ["*"], burst: 3, costs: [], scope: "proxy" },
        rate: { tokens: 1, periodMs: 60_000 },
      },
    ];
    const closed = { service: "bytes", allow: [{ from: ["other"], methods: ["*"] }], limits };
    const open = { service: "bytes", allow: [everyone], limits };
    pair.callee.policy.switchTo(buildPolicy(2, [closed]));
    for (let i = 0; i < 5; i += 1) expect((await pair.client().unary(hello)).error?.code).toBe(7);
    pair.callee.policy.switchTo(buildPolicy(3, [open]));
    for (let i = 0; i < 3; i += 1) expect((await pair.client().unary(hello)).error).toBeUndefined();
    const { error, trailers } = await pair.client().unary(hello);
    expect(error).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/^over a rate limit \(decision [0-9a-f]{24}, revision 3\)$/),
    });
    expect(error?.details).toContain(String(trailers.get("ashlar-decision")[0]));
    expect(trailers.get("ashlar-revision")).toEqual(["3"]);
    const pushbackMs = Number(trailers.get("grpc-retry-pushback-ms")[0]);
    expect(pushbackMs).toBeGreaterThan(50_000);
    expect(pushbackMs).toBeLessThanOrEqual(60_000);
    expect(pair.callee.metrics.ended.at(-1)).toMatchObject({ code: 8, reason: "rate-limit" });
    pair.callee.policy.switchTo(buildPolicy(4, [open]));
    expect((await pair.client().unary(hello)).error?.code).toBe(status.RESOURCE_EXHAUSTED); // a switch refills nobody
    expect(seen).toHaveLength(3);
  });

  test("without a revision either proxy answers 14 with a reason, and says that revision 0, none, has judged", async () => {
    pair.callee.policy.current = undefined;
    const { error } = await pair.client().unary(hello);
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining("no revision") });
    pair.caller.policy.current = undefined;
    const second = await pair.client().unary(hello);
    expect(second.error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining("no revision") });
    expect(second.trailers.get("ashlar-revision")).toEqual(["0"]);
    expect(seen).toEqual([]);
  });

  for (const [authority, code] of [
    ["bytes", 0],
    ["bytes:443", 0],
    ["bytes.test", 0],
    ["BYTES.test.:80", 0],
    ["nobody", status.UNAVAILABLE],
    ["bytes.other", status.UNAVAILABLE],
  ] as const) {
    test(`an authority of ${authority} is answered with ${code}`, async () => {
      const { headers, trailers } = await onOutbound().send({ ":authority": authority, ":scheme": "http" });
      expect(Number(headers["grpc-status"] ?? trailers["grpc-status"])).toBe(code);
      expect(headers["ashlar-revision"] ?? trailers["ashlar-revision"]).toBe("1");
    });
  }

  test("an upstream listener ignores the authority", async () => {
    await pair.caller.outbound(join(pair.dir, "bytes.sock"), "bytes");
    const raw = track(RawClient.unix(join(pair.dir, "bytes.sock")));
    const { trailers } = await raw.send({ ":authority": "localhost" });
    expect(trailers["grpc-status"]).toBe("0");
  });

  test("headers of the proxies' own are removed, whoever sends them", async () => {
    const forged = {
      "ashlar-caller": "spiffe://test/service/admin",
      "ashlar-epoch": "x",
      ashlar_caller: "spiffe://test/service/admin",
      "ashlar.caller": "spiffe://test/service/admin",
      ashlar_anything: "1",
      "x-forwarded-client-cert": "admin", // passes, and is nobody's identity
    };
    await onOutbound().send(forged);
    await (await onInbound("shop")).send(forged);
    expect(seen).toHaveLength(2);
    for (const metadata of seen) {
      expect(metadata.get("ashlar-caller")).toEqual(["spiffe://test/service/shop"]);
      expect(metadata.get("x-forwarded-client-cert")).toEqual(["admin"]);
      expect(Object.keys(metadata.getMap()).filter((name) => /^ashlar(?!-caller$)/.test(name))).toEqual([]);
    }
  });

  test("an application cannot speak for the proxy in headers or trailers", async () => {
    const path = join(pair.dir, "forger.sock");
    const forger = createServer().listen(path);
    forger.on("stream", (stream) => {
      stream.on("error", () => {});
      const lies = { "ashlar-decision": "forged", "ashlar-revision": "99", ashlar_decision: "forged" };
      stream.respond(
        { "content-type": "application/grpc", ...lies, "x-forwarded-by": "me" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", ...lies }));
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
    });
    pair.callee.app.set({ instance: "forger", target: { path } });
    const { headers, trailers } = await onOutbound().send({});
    expect(Object.keys(headers).filter((name) => name.startsWith("ashlar"))).toEqual([]);
    expect(headers["x-forwarded-by"]).toBe("me");
    expect(trailers).toMatchObject({ "grpc-status": "0", "ashlar-revision": "1" });
    expect(Object.keys(trailers).filter((name) => name.startsWith("ashlar"))).toEqual(["ashlar-revision"]);
    forger.close();
  });

  test("a peer that has seen a higher epoch makes the proxy look before it decides", async () => {
    pair.caller.policy.seenEpoch = 2;
    pair.callee.policy.onHear = () => pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes" }]));
    const { error } = await pair.client().unary(hello);
    expect(error?.details).toMatch(denied);
    expect(pair.callee.policy.heard).toEqual([{ epoch: 2, peer: "spiffe://test/service/shop" }]);
  });

  for (const [name, headers, rstCode, httpStatus] of [
    ["GET", { ":method": "GET" }, 1, undefined],
    ["a path without a method", { ":path": "/test.Bytes" }, 1, undefined],
    ["a path that climbs", { ":path": "/a/../test.Bytes/Unary" }, 1, undefined],
    ["an encoded slash", { ":path": "/test.Bytes%2fUnary" }, 1, undefined],
    ["a query", { ":path": "/test.Bytes/Unary?x" }, 1, undefined],
    ["a host that disagrees", { host: "other" }, 1, undefined],
    ["userinfo in the authority", { ":authority": "a@bytes" }, 1, undefined],
    ["a malformed timeout", { "grpc-timeout": "1.5s" }, 1, undefined],
    ["text/plain", { "content-type": "text/plain" }, 0, 415],
    ["grpc-web", { "content-type": "application/grpc-web" }, 0, 415],
  ] as const) {
    test(`${name} is refused on both sides and nothing reaches the application`, async () => {
      for (const raw of [onOutbound(), await onInbound("shop")]) {
        const result = await raw.send(headers);
        expect([result.rstCode, result.headers[":status"]]).toEqual([rstCode, httpStatus]);
        expect(result.headers["ashlar-revision"]).toEqual(
          httpStatus === undefined ? undefined : expect.stringMatching(/^[12]$/),
        );
      }
      expect(seen).toEqual([]);
    });
  }

  test("plain http as the scheme is refused on mutual TLS", async () => {
    expect((await (await onInbound("shop")).send({ ":scheme": "http" })).rstCode).toBe(1);
  });

  test("a value outside ASCII is dropped before policy and application see it", async () => {
    const { trailers } = await onOutbound().send({ "x-odd": "caf\u00e9", "x-even": "cafe" });
    expect(trailers["grpc-status"]).toBe("0");
    expect([seen[0]?.get("x-odd"), seen[0]?.get("x-even")]).toEqual([[], ["cafe"]]);
  });

  test("no certificate, another mesh's, and ALPN other than h2 are refused before the first call", async () => {
    const other = new TestPki("other");
    const own = issueIdentity(pair.pki, "shop");
    const attempts = [
      () => RawClient.mtls(pair.address, {}, pair.pki.rootPem),
      () => RawClient.mtls(pair.address, issueIdentity(other, "shop"), pair.pki.rootPem),
      () => RawClient.mtls(pair.address, own, pair.pki.rootPem, "http/1.1"),
    ];
    for (const attempt of attempts) expect(await isRefused(attempt())).toBe(true);
    expect(seen).toEqual([]);
    expect(pair.callee.metrics.failures).toHaveLength(3);
  });

  test("an SVID of another trust domain signed by our own CA is refused", async () => {
    const svid = pair.pki.issue("spiffe://elsewhere/service/shop");
    expect(await isRefused(RawClient.mtls(pair.address, svid, pair.pki.rootPem))).toBe(true);
    expect(pair.callee.metrics.failures).toEqual(["inbound identity"]);
  });

  test("a revoked certificate is refused, and its open connections are closed", async () => {
    const identity = issueIdentity(pair.pki, "shop");
    const raw = track(await RawClient.mtls(pair.address, identity, pair.pki.rootPem));
    expect((await raw.send({})).trailers["grpc-status"]).toBe("0");
    pair.callee.trust.revoked.add(identity.serial);
    pair.inbound.refreshTls();
    await eventually("the connection is closed", () => raw.session.destroyed);
    expect(await isRefused(RawClient.mtls(pair.address, identity, pair.pki.rootPem))).toBe(true);
    expect(seen).toHaveLength(1);
  });

  test("open connections that are still trusted survive being judged again, in both roles", async () => {
    const call = pair.client().bidi();
    const answer = (): Promise<unknown> => new Promise((resolve) => call.once("data", resolve));
    for (let round = 0; round < 3; round++) {
      const next = answer();
      call.write(hello);
      await next;
      pair.inbound.admitAgain();
      pair.inbound.refreshTls();
      pair.caller.pool.closeWhere((socket) => !pair.caller.tls.isVerified(socket));
    }
    expect(pair.callee.metrics.failures).toEqual([]);
    expect(pair.callee.metrics.connections).toBe(1);
    call.cancel();
    call.on("error", () => {});
  });

  test("a certificate that expires on a long connection makes calls fail with 16", async () => {
    const raw = track(await RawClient.mtls(pair.address, issueIdentity(pair.pki, "shop", 4000), pair.pki.rootPem));
    expect((await raw.send({})).trailers["grpc-status"]).toBe("0");
    let last: unknown;
    const endMs = Date.now() + 30_000;
    while (last !== "16" && Date.now() < endMs) {
      last = (await raw.send({})).headers["grpc-status"];
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(last).toBe("16");
    pair.inbound.admitAgain();
    await eventually("the connection is closed", () => raw.session.destroyed);
  });

  test("a peer that is not the service gets no byte of the call", async () => {
    const impostor = new TestSide(issueIdentity(pair.pki, "other"), pair.pki.rootPem);
    const { address } = await impostor.inbound();
    impostor.policy.switchTo(buildPolicy(1, [{ service: "other", allow: [everyone] }]));
    pair.caller.endpoints.all.splice(0);
    pair.caller.endpoints.add("bytes", address);
    const { error } = await pair.client().unary(hello);
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining("service/other") });
    expect(impostor.metrics.ended).toEqual([]);
    expect(pair.caller.metrics.failures).toContain("outbound identity");
    impostor.close();
  });

  test("an application that refuses is reported at once, and the call answered 14", async () => {
    const gone = { instance: "gone", target: { path: join(pair.dir, "nothing.sock") } };
    pair.callee.app.set(gone);
    const { error } = await pair.client().unary(hello);
    expect(error?.code).toBe(status.UNAVAILABLE);
    expect(pair.callee.app.refused).toEqual([gone]);
    pair.callee.app.set(undefined);
    const second = await pair.client().unary(hello);
    expect(second.error).toMatchObject({ code: 14, details: expect.stringContaining("no application of bytes") });
  });

  test("an endpoint that refuses connections is passed over, and no call is lost", async () => {
    const closed = await startByteServer("127.0.0.1:0", {});
    closed.server.forceShutdown();
    pair.caller.endpoints.add("bytes", `127.0.0.1:${closed.port}`);
    const client = pair.client();
    const results = await Promise.all(Array.from({ length: 50 }, () => client.unary(hello)));
    expect(results.filter(({ error }) => error !== undefined)).toEqual([]);
  });

  test("more calls than one connection may carry open another", async () => {
    const client = pair.client();
    const calls = Array.from({ length: 250 }, () => client.bidi());
    const answers = calls.map((call) => new Promise((resolve) => call.once("data", resolve)));
    for (const call of calls) call.write(hello);
    await Promise.all(answers);
    expect(pair.callee.metrics.connections).toBeGreaterThanOrEqual(3);
    const ends = calls.map((call) => new Promise((resolve) => call.once("end", resolve)));
    for (const call of calls) call.end();
    await Promise.all(ends);
  });

  test("I10: open calls that a new revision refuses end with 7, the others go on untouched", async () => {
    const asShop = pair.client().bidi();
    const owner = await onInbound("owner");
    const other = owner.session.request({
      ":method": "POST",
      ":scheme": "https",
      ":path": "/test.Bytes/Bidi",
      "content-type": "application/grpc",
      te: "trailers",
      ":authority": "bytes",
    });
    other.resume();
    other.write(Buffer.from([0, 0, 0, 0, 0]));
    const first = new Promise((resolve) => asShop.once("data", resolve));
    asShop.write(hello);
    await first;
    await eventually("both are open", () => pair.inbound.open.size === 2);
    const ended = new Promise<{ code: number; details: string; metadata: Metadata }>((resolve) =>
      asShop.on("status", resolve),
    );
    asShop.on("error", () => {});
    pair.callee.policy.switchTo(
      buildPolicy(2, [{ service: "bytes", allow: [everyone], deny: [{ from: ["shop"], methods: [] }] }]),
    );
    expect(pair.inbound.open.size).toBe(1); // when the switch is done, so is the refused one
    const { code, details, metadata } = await ended;
    expect([code, metadata.get("ashlar-revision")]).toEqual([7, ["2"]]);
    expect(details).toMatch(denied);
    expect([other.closed, pair.inbound.open.size]).toEqual([false, 1]);
  });

  test("weights, versions and the route's timeout are obeyed", async () => {
    const v2 = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
    const { address } = await v2.inbound();
    v2.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
    const slow = await startByteServer(`unix:${join(pair.dir, "slow.sock")}`, { Unary: () => {} });
    v2.app.set({ instance: "slow", target: { path: join(pair.dir, "slow.sock") } });
    pair.caller.endpoints.add("bytes", address, { version: "v2" });
    const match = { methods: [], headers: [{ name: "x-beta", value: "1" }] };
    const rules = [
      { match, split: [{ version: "v2", weight: 100 }], timeoutMs: 200 },
      { match: undefined, split: [{ version: "v1", weight: 1 }], timeoutMs: 0 },
    ];
    pair.caller.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], rules }]));
    for (let call = 0; call < 10; call++) expect((await pair.client().unary(hello)).error).toBeUndefined();
    expect(seen).toHaveLength(10);
    const beta = new Metadata();
    beta.set("x-beta", "1");
    const { error } = await pair.client().unary(hello, beta);
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(seen).toHaveLength(10);
    slow.server.forceShutdown();
    v2.close();
  });

  test("a route whose only version has no instance is answered 14 with the version's name", async () => {
    const rules = [{ match: undefined, split: [{ version: "v7", weight: 1 }], timeoutMs: 0 }];
    pair.caller.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], rules }]));
    const { error } = await pair.client().unary(hello);
    expect(error).toMatchObject({
      code: status.UNAVAILABLE,
      details: "bytes has no healthy endpoint of version v7, which its route asks for",
    });
  });

  test("a new certificate is used for new connections and loses no call", async () => {
    const client = pair.client();
    const failures: unknown[] = [];
    for (let round = 0; round < 10; round++) {
      const calls = Array.from({ length: 20 }, () => client.unary(hello));
      pair.caller.identity.rotate(issueIdentity(pair.pki, "shop"));
      pair.caller.pool.retireAll();
      pair.callee.identity.rotate(issueIdentity(pair.pki, "bytes"));
      pair.inbound.refreshTls();
      for (const { error } of await Promise.all(calls)) if (error !== undefined) failures.push(error);
    }
    expect(failures).toEqual([]);
    expect(mesh).toBe(pair.caller.identity.current.mesh);
  });

  test("draining one of two endpoints under load loses no call", async () => {
    const second = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
    const { address } = await second.inbound();
    second.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
    second.app.set(pair.callee.app.current);
    pair.caller.endpoints.add("bytes", address);
    const client = pair.client();
    const failures: unknown[] = [];
    let left = 1000;
    const worker = async () => {
      while (left-- > 0) {
        const { error } = await client.unary(hello);
        if (error !== undefined) failures.push(error);
      }
    };
    const load = Promise.all(Array.from({ length: 20 }, worker));
    await eventually("calls are under way", () => seen.length > 200);
    pair.caller.endpoints.all.splice(0, 1); // the tombstone
    await pair.inbound.drain();
    expect(left).toBeGreaterThan(0);
    await load;
    expect(failures).toEqual([]);
    expect(seen).toHaveLength(1000);
    second.close();
  });

  test("a GOAWAY alone, before the tombstone is heard, loses no call either", async () => {
    const second = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
    const { address } = await second.inbound();
    second.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
    second.app.set(pair.callee.app.current);
    pair.caller.endpoints.add("bytes", address);
    const client = pair.client();
    const first = Array.from({ length: 100 }, () => client.unary(hello));
    await eventually("calls are under way", () => seen.length > 20);
    const drained = pair.inbound.drain();
    const later = Array.from({ length: 100 }, () => client.unary(hello));
    const results = await Promise.all([...first, ...later]);
    await drained;
    expect(results.filter(({ error }) => error !== undefined)).toEqual([]);
    second.close();
  });
});
