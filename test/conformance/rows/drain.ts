/** Rows 39 and 40 that stop processes: each has a proxy of its own, or takes one away for good. */
import { join } from "node:path";
import { RawPeer } from "../../support/raw-peer.js";
import { data, headers, message, request } from "../../support/wire.js";
import {
  type Arena,
  type Check,
  call,
  connectionOutcome,
  newId,
  outcome,
  together,
  type Verdict,
  verdict,
} from "../check.js";
import { pause } from "../child.js";
import { connectMutual, type MeshProxy } from "../mesh.js";

let count = 0;

/** One more proxy beside the recording upstream, which the check will stop. */
async function another(arena: Arena, grace: string): Promise<MeshProxy> {
  const app = join(arena.mesh.dir, "app.sock");
  const options = { name: `echo-${++count}`, service: "echo", app, flags: ["--grace", grace] };
  const proxy = await arena.mesh.proxy(options);
  arena.mesh.release(proxy);
  return proxy;
}

async function connectTo(arena: Arena, proxy: MeshProxy): Promise<RawPeer> {
  const peer = new RawPeer(await connectMutual(arena.mesh, proxy, arena.frontCredentials), false);
  await peer.until(() => peer.peerSettings.size > 0, 10_000);
  return peer;
}

async function graceful(arena: Arena): Promise<Verdict> {
  const proxy = await another(arena, "8s");
  const [busy, streaming] = [await connectTo(arena, proxy), await connectTo(arena, proxy)];
  const id = newId();
  const long = streaming.stream(id);
  streaming.send(headers(id, request("/checks.Echo/Unary")), data(id, message("part")));
  let calls = 0;
  const lost: string[] = [];
  const load = (async () => {
    while (busy.goaways.length === 0 && !busy.closed) {
      const stream = await call(busy);
      calls++;
      if (outcome(busy, stream) !== "grpc-status 0") lost.push(outcome(busy, stream));
    }
  })();
  await pause(500);
  proxy.child.signal("SIGTERM");
  await streaming.until(() => streaming.goaways.length >= 2, 10_000);
  await load;
  await pause(300);
  const wasOpen = !long.isOver && !streaming.closed;
  streaming.send(data(id, message("rest"), true));
  await streaming.until(() => long.isOver, 10_000);
  await streaming.until(() => streaming.closed, 10_000);
  const code = await Promise.race([proxy.child.exited, pause(12_000).then(() => -1)]);
  const goaways = streaming.goaways.map(
    ({ code: error, last }) => `${error}/${last === 0x7fff_ffff ? "2^31-1" : last}`,
  );
  const seen = `GOAWAYs ${goaways.join(", ")} (stream ${id}); ${calls} unary, ${lost.length} lost ${lost[0] ?? ""}; stream ${outcome(streaming, long)} with ${long.bytes} bytes; exit ${code}`;
  const isTwice = goaways.join() === `0/2^31-1,0/${id}`;
  return verdict(
    isTwice && lost.length === 0 && wasOpen && outcome(streaming, long) === "grpc-status 0" && code === 0,
    seen,
  );
}

async function cutAfterGrace(arena: Arena): Promise<Verdict> {
  const proxy = await another(arena, "1s");
  const peer = await connectTo(arena, proxy);
  const id = newId();
  const stream = peer.stream(id);
  peer.send(headers(id, request("/checks.Echo/Wait")), data(id, message("x")));
  await pause(200);
  const startedMs = performance.now();
  proxy.child.signal("SIGTERM");
  await peer.until(() => stream.isOver || peer.closed, 10_000);
  const tookMs = Math.round(performance.now() - startedMs);
  const ending = stream.resetCode !== undefined || stream.ended ? outcome(peer, stream) : connectionOutcome(peer);
  const code = await Promise.race([proxy.child.exited, pause(8000).then(() => -1)]);
  const wanted = /^(RST_STREAM\(CANCEL\)|grpc-status 14)$/;
  return verdict(
    wanted.test(ending) && arena.isInTime(tookMs, 5000) && code >= 0,
    `${ending} after ${tookMs} ms, exit ${code}`,
  );
}

/** A call through two proxies while its endpoint is killed: 14 at once, and the next goes elsewhere. */
async function killed(arena: Arena): Promise<Verdict> {
  const proxy = await another(arena, "1s");
  await pause(1500);
  const client = await arena.connectOutbound();
  const waiting = Array.from({ length: 20 }, () => {
    const stream = client.stream(newId());
    client.send(headers(stream.id, request("/checks.Echo/Wait", { ":scheme": "http" })), data(stream.id, message("x")));
    return stream;
  });
  await pause(500);
  proxy.child.signal("SIGKILL");
  await pause(1500);
  const over = waiting.filter((stream) => stream.isOver).map((stream) => outcome(client, stream));
  const parts: (readonly [string, Verdict])[] = [
    [
      "calls on it",
      verdict(
        over.length > 0 && over.every((seen) => seen === "grpc-status 14"),
        `${over.length} of 20 ended: ${[...new Set(over)].join(", ")}`,
      ),
    ],
  ];
  const next = new Map<string, number>();
  for (let i = 0; i < 50; i++) {
    const seen = outcome(client, await call(client, request("/checks.Echo/Unary", { ":scheme": "http" })));
    next.set(seen, (next.get(seen) ?? 0) + 1);
  }
  parts.push([
    "the next 50",
    verdict(next.get("grpc-status 0") === 50, [...next].map(([seen, n]) => `${n} x ${seen}`).join(", ")),
  ]);
  return together(parts);
}

/** SIGSTOP for 3 s: calls with a deadline end by it, and all is well after. */
async function paused(arena: Arena): Promise<Verdict> {
  const client = await arena.connectOutbound();
  arena.wild.child.signal("SIGSTOP");
  const startedMs = performance.now();
  const stuck = await call(
    client,
    request("/checks.Wild/Unary", { ":scheme": "http", ":authority": "wild", "grpc-timeout": "1S" }),
    { ms: 5000 },
  );
  const tookMs = Math.round(performance.now() - startedMs);
  await pause(2000);
  arena.wild.child.signal("SIGCONT");
  const seen = outcome(client, stuck);
  return verdict(/^grpc-status (4|14)$/.test(seen) && arena.isInTime(tookMs, 2000), `${seen} after ${tookMs} ms`);
}

async function applicationGone(arena: Arena): Promise<Verdict> {
  arena.hostile.become(() => {});
  arena.hostile.close();
  await pause(300);
  const client = await arena.connect({}, arena.wild);
  const first = outcome(client, await call(client, request("/checks.Wild/Unary", { ":authority": "wild" })));
  return verdict(first === "grpc-status 14", first);
}

/** Thousands of connections that say nothing: new ones are still served, and the silent are closed within their bound. */
async function silentConnections(arena: Arena): Promise<Verdict> {
  const { connect } = await import("node:net");
  const total = arena.seconds(3500, 400);
  const filesBefore = arena.attacked.child.openFiles;
  let closed = 0;
  const sockets = Array.from({ length: total }, () => {
    const socket = connect({ ...arena.attacked.inbound });
    socket.on("error", () => {});
    socket.on("close", () => closed++);
    socket.resume();
    return socket;
  });
  await pause(500);
  const peer = await arena.connect();
  const served = outcome(peer, await call(peer));
  const greeted = await arena.connect({ silent: true, polite: false });
  await greeted.until(() => greeted.closed, 10_000);
  for (let wait = 0; wait < 150 && closed < total; wait++) await pause(100);
  // Those that the system never gave to the proxy are not held either: its queue was too short for so many at once.
  const held = Math.max(0, arena.attacked.child.openFiles - filesBefore);
  for (const socket of sockets) socket.destroy();
  const seen = `${total} silent: ${closed} closed within 24 s, the proxy holds ${held} files more; a new one ${served}; one without preface ${greeted.closed ? "closed" : "left open"}`;
  return verdict(served === "grpc-status 0" && closed === total && held < 50 && greeted.closed, seen);
}

export const halfOpen: Check = { row: 40, name: "half-open connections", slowAtGateway: true, run: silentConnections };

export const drainChecks: readonly Check[] = [
  halfOpen,
  { row: 39, name: "SIGTERM with unary and streams", counted: false, disturbing: true, run: graceful },
  { row: 39, name: "SIGTERM, a stream that outlives the grace", counted: false, disturbing: true, run: cutAfterGrace },
  { row: 40, name: "the endpoint's proxy is paused", disturbing: true, run: paused },
  { row: 40, name: "the application is gone", run: applicationGone },
  { row: 40, name: "the endpoint's proxy is killed", disturbing: true, run: killed },
];
