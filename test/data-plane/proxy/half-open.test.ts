/** Connections that never say who they are, beside those of honest proxies. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { inboundLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import { UnprovenSockets } from "../../../data-plane/proxy/forward/unproven-sockets.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";

let pair: ProxyPair;
let sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  pair.stop();
});

/** Every second one begins a handshake and does not go on. */
async function openHalf(address: string, count: number): Promise<void> {
  const [host, port] = address.split(":");
  const some = Array.from({ length: count }, () => connect({ host: host ?? "", port: Number(port) }));
  sockets.push(...some);
  await Promise.all(
    some.map(async (socket, n) => {
      socket.on("error", () => {}).resume();
      await Promise.race([once(socket, "connect"), once(socket, "close")]);
      if (n % 2 === 0) socket.write(Buffer.from("1603010200010001fc0303", "hex"));
    }),
  );
}

const open = () => sockets.filter((socket) => !socket.destroyed).length;

test("an honest proxy's call goes through while thousands of connections do not say who they are", async () => {
  pair = await ProxyPair.start({ Unary: (call, respond) => respond(null, call.request) });
  const limits = { ...inboundLimits, connectionsMax: 1000, unprovenMax: 1000 };
  const { inbound, address } = await pair.callee.inbound(limits);
  const early = await RawClient.mtls(address, pair.caller.identity.current, pair.pki.rootPem);
  for (let n = 0; n < 6; n += 1) await openHalf(address, 500);
  await eventually("the oldest are closed", () => open() === 1000, 60_000);
  expect(sockets.slice(0, 2000).every((socket) => socket.destroyed)).toBe(true);

  const late = await RawClient.mtls(address, pair.caller.identity.current, pair.pki.rootPem);
  for (const client of [early, late]) {
    const { headers, trailers } = await client.send({});
    expect([headers[":status"], trailers["grpc-status"] ?? headers["grpc-status"]]).toEqual([200, "0"]);
    client.close();
  }
  inbound.close();
}, 120_000);

test("those that have proved who they are have a bound of their own", async () => {
  pair = await ProxyPair.start({ Unary: (call, respond) => respond(null, call.request) });
  const { inbound, address } = await pair.callee.inbound({ ...inboundLimits, connectionsMax: 1, unprovenMax: 10 });
  const first = await RawClient.mtls(address, pair.caller.identity.current, pair.pki.rootPem);
  expect((await first.send({})).headers[":status"]).toBe(200);
  const before = pair.callee.metrics.connections;
  const second = await RawClient.mtls(address, pair.caller.identity.current, pair.pki.rootPem).catch(() => undefined);
  await second?.send({}).catch(() => undefined);
  expect(pair.callee.metrics.connections).toBe(before);
  expect((await first.send({})).headers[":status"]).toBe(200);
  first.close();
  second?.close();
  inbound.close();
}, 30_000);

test("a connection that does not say who it is ends after its time, in which time that was lost does not count", async () => {
  pair = await ProxyPair.start({});
  const { inbound, address } = await pair.callee.inbound();
  await openHalf(address, 2);
  const [early, late] = sockets as [Socket, Socket];
  let nowMs = 0;
  const unproven = new UnprovenSockets(10, 10_000, () => nowMs);
  unproven.add(early);
  nowMs = 5000;
  unproven.add(late);
  const gone = () => [early, late].map(({ destroyed }) => destroyed);
  unproven.endLate(40_000, 30_000); // the process was stopped: what they said meanwhile is still to be read
  expect(gone()).toEqual([false, false]);
  unproven.endLate(40_001, 0);
  expect(gone()).toEqual([true, false]);
  unproven.endLate(45_001, 0);
  expect(gone()).toEqual([true, true]);
  inbound.close();
});

test("a place is free again when its connection ends or has proved who it is", async () => {
  pair = await ProxyPair.start({});
  const { inbound, address } = await pair.callee.inbound();
  await openHalf(address, 4);
  const [a, b, c, d] = sockets as [Socket, Socket, Socket, Socket];
  const unproven = new UnprovenSockets(2, 10_000, () => 0);
  expect([unproven.add(a), unproven.add(b)]).toEqual([true, true]);
  unproven.remove(a);
  expect(unproven.add(c)).toBe(true);
  b.destroy();
  await once(b, "close");
  expect(unproven.add(d)).toBe(true);
  expect(unproven.add(a)).toBe(false);
  expect([a, c, d].map(({ destroyed }) => destroyed)).toEqual([false, true, false]);
  inbound.close();
});
