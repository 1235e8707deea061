/** Calls of applications without their own proxy: what the destination's lets through, and what it says of the rest. */
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { DecisionRecord } from "../../../core/decision/decision-record.js";
import { explainDecision } from "../../../core/decision/explain.js";
import { redecide } from "../../../core/decision/redecide.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import type { Limit } from "../../../core/kinds/rate-limit/rate-limit.js";
import { encodeDecision, parseDecisionBytes } from "../../../core/wire/decisions.js";
import { headerNames } from "../../../core/wire/headers.js";
import { ReaderShare, readersOfProxyMax } from "../../../data-plane/proxy/forward/reader-share.js";
import { ByteClient } from "../../support/byte-service.js";
import { buildPolicy, everyone, mesh } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import type { TestSvid } from "../../support/test-pki.js";

const hello = Buffer.from("hello");
const direct = { version: "", waitMs: 1000, way: "direct" } as const;
const books: Omit<Journal, "kind" | "name" | "service"> = {
  methods: ["test.Bytes/ClientStream"],
  mode: "before",
  response: "bytes",
  idempotencyKey: undefined,
  orderBy: undefined,
  reads: direct,
};
const reads = ["test.Bytes/Unary", "test.Bytes/Bidi", "test.Bytes/ClientStream"];
const unit = { service: "bytes", allow: [everyone], noSideEffects: reads, journal: books };
const { reads: _, ...proxiedBooks } = books;

describe("a direct call", () => {
  let pair: ProxyPair;
  let seen: Metadata[] = [];
  const clients: ByteClient[] = [];

  function connect(svid: TestSvid, authority = "bytes"): ByteClient {
    const { certificateChainPem, privateKeyPem } = svid;
    const [root, key, chain] = [pair.pki.rootPem, privateKeyPem, certificateChainPem].map((pem) => Buffer.from(pem));
    const channel = credentials.createSsl(root, key, chain, { checkServerIdentity: () => undefined });
    const client = new ByteClient(pair.address, authority, channel);
    clients.push(client);
    return client;
  }

  const reader = (service = "shop") =>
    connect(
      pair.pki.issueReader(`spiffe://${mesh}/reader/${service}/proxy-${service}`, pair.caller.identity.current.serial),
    );
  const judgedLast = (): DecisionRecord | undefined => pair.callee.decisions.decisions.at(-1);

  beforeEach(async () => {
    seen = [];
    pair = await ProxyPair.start({
      Unary: (call, callback) => {
        seen.push(call.metadata);
        callback(null, call.request);
      },
      Bidi: (call) => void call.on("data", (chunk: Buffer) => call.write(chunk)),
    });
    pair.callee.policy.switchTo(buildPolicy(2, [unit]));
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    pair.stop();
  });

  test("that reads is answered, in the name of the service, and its record says that it was direct", async () => {
    const metadata = new Metadata();
    for (const name of [headerNames.labels, headerNames.calledMethod, headerNames.mirror, headerNames.client])
      metadata.set(name, "zone=a");
    metadata.set(headerNames.epoch, "99");
    const { error, response } = await reader().unary(hello, metadata);
    expect([error, response]).toEqual([undefined, hello]);
    expect(seen[0]?.get(headerNames.caller)).toEqual([`spiffe://${mesh}/service/shop`]);
    expect(pair.callee.policy.heard).toEqual([]); // an application's word is no proxy's
    const record = judgedLast();
    expect(record).toMatchObject({ verdict: "allowed", caller: `spiffe://${mesh}/service/shop`, reader: "proxy-shop" });
    expect(record).not.toHaveProperty("mirrored");
    expect(record && parseDecisionBytes(encodeDecision(record))).toEqual(record);
    expect(pair.caller.metrics.ended).toEqual([]); // no call passed the caller's proxy
  });

  test.each([
    ["the method is a write", unit, "ClientStream"],
    ["the Service does not mark it", { ...unit, noSideEffects: ["test.Bytes/Bidi"] }, "Unary"],
    ["the Journal's reads are proxied", { ...unit, journal: proxiedBooks }, "Unary"],
    ["the service has no Journal", { service: "bytes", allow: [everyone], noSideEffects: reads }, "Unary"],
  ] as const)("is refused with a reason of its own where %s", async (_name, policy, method) => {
    pair.callee.policy.switchTo(buildPolicy(3, [policy]));
    const client = reader();
    const error =
      method === "Unary"
        ? (await client.unary(hello)).error
        : await new Promise<unknown>((resolve) => client.clientStream((failure) => resolve(failure)).end(hello));
    expect(error).toMatchObject({
      code: 7,
      details: expect.stringMatching(
        /^only reads that a Journal lets go direct .* \(decision [0-9a-f]{24}, revision 3\)$/,
      ),
    });
    expect(seen).toEqual([]);
    expect(pair.callee.metrics.ended.at(-1)).toMatchObject({ code: 7, reason: "not-direct" });
    const record = judgedLast() as DecisionRecord;
    expect(record).toMatchObject({ verdict: "denied", rule: "not-direct", reader: "proxy-shop" });
    // explain and replay come to the same, and a candidate that lets it go direct lets it pass
    const compiled = buildPolicy(3, [policy]).unit("bytes");
    expect(redecide(record, compiled, "recorded")).toMatchObject({ verdict: "denied", rule: "not-direct" });
    const { again, nearest } = explainDecision(record, compiled && { unit: {} as never, compiled }, mesh);
    expect(again).toMatchObject({ rule: "not-direct", reason: expect.stringContaining("without the caller's proxy") });
    expect(nearest?.change).toContain("call it through the proxy");
    const candidate = buildPolicy(4, [{ ...unit, journal: { ...books, methods: ["test.Bytes/Put"] } }]).unit("bytes");
    expect(redecide(record, candidate, "recorded")).toMatchObject({ verdict: "allowed" });
  });

  test("is judged by the rules for the service: denied as its other calls are, and limited with them", async () => {
    const only = { from: ["other"], methods: ["*"] };
    pair.callee.policy.switchTo(buildPolicy(3, [{ ...unit, allow: [only] }]));
    expect((await reader().unary(hello)).error?.details).toMatch(/^denied/);
    const limits: Limit[] = [
      {
        ...{ per: ["caller"], methods: ["*"], burst: 1, costs: [], scope: "proxy" },
        rate: { tokens: 1, periodMs: 3_600_000 },
      },
    ];
    pair.callee.policy.switchTo(buildPolicy(4, [{ ...unit, limits }]));
    expect((await pair.client().unary(hello)).error).toBeUndefined();
    expect((await reader().unary(hello)).error).toMatchObject({ code: 8 });
    expect((await reader("other").unary(hello)).error).toBeUndefined();
  });

  test("I10: an open one ends with 7 once policy takes direct away, and a proxied one goes on", async () => {
    const [open, proxied] = [reader().bidi(), pair.client().bidi()];
    const ended = new Promise((resolve) => open.on("error", resolve));
    proxied.on("error", () => {});
    const echoes: string[] = [];
    for (const [name, stream] of [
      ["direct", open],
      ["proxied", proxied],
    ] as const)
      stream.on("data", () => void echoes.push(name));
    open.write(hello);
    proxied.write(hello);
    await eventually("both echo", () => echoes.length === 2);
    pair.callee.policy.switchTo(buildPolicy(3, [{ ...unit, journal: proxiedBooks }]));
    expect(await ended).toMatchObject({ code: 7, details: expect.stringContaining("only reads") });
    expect(judgedLast()).toMatchObject({ closed: true, rule: "not-direct" });
    proxied.write(hello);
    await eventually("the proxied one echoes again", () => echoes.filter((name) => name === "proxied").length === 2);
    proxied.cancel();
  });

  test("ends with its connection when the proxy of the application is revoked, and no further one comes in", async () => {
    const client = reader();
    const open = client.bidi();
    const ended = new Promise((resolve) => open.on("error", resolve));
    const echoed = new Promise((resolve) => open.once("data", resolve));
    open.write(hello);
    await echoed;
    pair.callee.trust.revoked.add(pair.caller.identity.current.serial);
    pair.callee.trust.changed();
    pair.inbound.refreshTls();
    expect(await ended).toMatchObject({ code: 14 });
    expect((await client.unary(hello, new Metadata(), { deadline: Date.now() + 2000 })).error).toMatchObject({
      code: 14,
    });
    expect(pair.callee.metrics.failures).toContain("inbound identity");
  });

  test("takes no place of others: a thief has as many connections as the applications of one proxy may have", async () => {
    const [host = "", port = ""] = pair.address.split(":");
    const stolen = pair.pki.issueReader(`spiffe://${mesh}/reader/shop/proxy-shop`, "0a");
    const open = new Set<Socket>();
    const { certificateChainPem: cert, privateKeyPem: key } = stolen;
    for (let n = 0; n < readersOfProxyMax + 20; n++) {
      const socket = connectTls({
        host,
        port: Number(port),
        cert,
        key,
        ALPNProtocols: ["h2"],
        rejectUnauthorized: false,
      });
      open.add(socket);
      socket.on("error", () => {}).on("close", () => open.delete(socket));
      socket.on("secureConnect", () => void socket.resume());
    }
    await eventually("those too many are closed", () => open.size === readersOfProxyMax);
    await eventually("all others are taken", () => pair.callee.metrics.connections === readersOfProxyMax);
    expect((await reader().unary(hello)).error).toMatchObject({ code: 14 });
    expect((await reader("other").unary(hello)).error).toBeUndefined();
    expect((await pair.client().unary(hello)).error).toBeUndefined();
    for (const socket of open) socket.destroy();
    await eventually("they have gone", () => pair.callee.metrics.connections < readersOfProxyMax);
    expect((await reader().unary(hello)).error).toBeUndefined();
  });

  test("and applications of all proxies together have at most half of the connections", async () => {
    const share = new ReaderShare(4);
    const sockets = [1, 2, 3, 4].map(() => new EventEmitter() as unknown as Socket);
    const takes = sockets.map((socket, n) => share.take(socket, `proxy-${n}`));
    expect(takes).toEqual([true, true, false, false]);
    sockets[0]?.emit("close");
    expect(share.take(sockets[2] as Socket, "proxy-2")).toBe(true);
  });

  test("is refused in shadow by a candidate that takes direct away", async () => {
    const shadow = buildPolicy(3, [{ ...unit, journal: proxiedBooks }]);
    pair.callee.policy.shadow = { policy: shadow, share: 1 };
    expect((await reader().unary(hello)).error).toBeUndefined();
    const shadowed = pair.callee.decisions.decisions.find((one) => one.shadow);
    expect(shadowed).toMatchObject({ verdict: "denied", rule: "not-direct", reader: "proxy-shop" });
  });

  test("a certificate for reads is none between proxies: who dials one takes it for nobody", async () => {
    const { serial } = pair.caller.identity.current;
    const svid = pair.pki.issueReader(`spiffe://${mesh}/reader/bytes/proxy-bytes`, serial);
    pair.callee.identity.current = { ...pair.callee.identity.current, ...svid };
    pair.inbound.refreshTls();
    const { error } = await pair.client().unary(hello);
    expect(error).toMatchObject({ code: 14 });
  });
});
