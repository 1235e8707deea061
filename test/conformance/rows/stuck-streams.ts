/** Row 43: what one caller or application does not take, or cannot, keeps no other call waiting (issue of stuck streams). */
import { join } from "node:path";
import { RawPeer } from "../../support/raw-peer.js";
import type { RawStream } from "../../support/raw-stream.js";
import { until } from "../../support/until.js";
import { data, headers, message, request, windowUpdate } from "../../support/wire.js";
import { type Arena, type Check, call, newId, outcome, together, type Verdict, verdict } from "../check.js";
import { connectSocket, type MeshProxy } from "../mesh.js";
import { type Behaviour, responseHead } from "../upstream.js";
import { goaway, reply } from "./application-fault.js";

const uploads = 20;
const uploadBytes = 256 * 1024;
const patienceMs = 30_000;

const wildFields = (arena: Arena, method: string) =>
  request(`/checks.Wild/${method}`, { ":scheme": arena.callerScheme, ":authority": "wild", "grpc-timeout": "30S" });
const isUpload = (stream: RawStream): boolean => stream.value(":path")?.endsWith("/Upload") === true;

/** Calls one after another and tells how they ended. */
async function outcomes(
  arena: Arena,
  peer: RawPeer,
  count: number,
  body = message("x".repeat(1000)),
): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  for (let done = 0; done < count; done++) {
    const stream = await call(peer, wildFields(arena, "Unary"), { body, ms: patienceMs });
    const what = `${outcome(peer, stream)} ${stream.value("grpc-message") ?? ""}`.trim();
    seen.set(what, (seen.get(what) ?? 0) + 1);
  }
  return seen;
}

const told = (seen: ReadonlyMap<string, number>): string =>
  [...seen].map(([what, count]) => `${count} x ${what}`).join(", ");
const allServed = (seen: ReadonlyMap<string, number>, count: number): boolean => seen.get("grpc-status 0") === count;

/** The row before had its connections cut: whoever is called just then is told so, for a moment. */
const reached = (arena: Arena, peer: RawPeer): Promise<void> =>
  until("the application is reached again", async () => allServed(await outcomes(arena, peer, 1), 1));

/** Uploads that the application does not read, each from a caller of its own, while others call. */
const unreadUploads = (name: string, givesConnectionBack: boolean): Check => ({
  row: 43,
  name: `${uploads} uploads that an application does not read, ${name}`,
  counted: false,
  run: async (arena) => {
    const behave: Behaviour = (peer, stream) => {
      peer.onData = (_one, bytes) => {
        if (givesConnectionBack && bytes.length > 0) peer.send(windowUpdate(0, bytes.length));
      };
      if (!isUpload(stream)) reply(peer, stream);
    };
    arena.hostile.become(behave, { opensWindows: false });
    await reached(arena, await arena.connectCaller());
    const heldBefore = await arena.heldBytes(arena.wild);
    const callers = await Promise.all(Array.from({ length: uploads }, () => arena.connectCaller()));
    for (const peer of callers) {
      const stream = peer.stream(newId());
      peer.send(headers(stream.id, wildFields(arena, "Upload")));
      peer.sendData(stream, message(Buffer.alloc(uploadBytes)));
    }
    const arrived = (): number =>
      arena.hostile.peers.flatMap((peer) => [...peer.streams.values()]).filter((one) => isUpload(one)).length;
    await until("the application has all uploads", () => arrived() === uploads);
    const calls = arena.seconds(500, 100);
    const seen = await outcomes(arena, await arena.connectCaller(), calls);
    const held = (await arena.heldBytes(arena.wild)) - heldBefore;
    arena.closeAll();
    await until("nothing is held for uploads that are gone", async () => {
      return (await arena.heldBytes(arena.wild)) <= heldBefore;
    });
    const most = uploads * uploadBytes;
    return verdict(
      allServed(seen, calls) && held <= most,
      `${told(seen)}; ${(held / 1024).toFixed(0)} KiB held for the uploads`,
    );
  },
});

/** Many callers of an application that takes four streams a connection: they wait, and all are served. */
async function fewStreams(arena: Arena): Promise<Verdict> {
  arena.hostile.become((peer, stream) => setImmediate(() => reply(peer, stream)), { settings: [[3, 4]] });
  await reached(arena, await arena.connectCaller());
  const callers = await Promise.all(Array.from({ length: 100 }, () => arena.connectCaller()));
  const each = arena.seconds(20, 3);
  const all = await Promise.all(callers.map((peer) => outcomes(arena, peer, each)));
  const seen = new Map<string, number>();
  for (const one of all) for (const [what, count] of one) seen.set(what, (seen.get(what) ?? 0) + count);
  return verdict(allServed(seen, 100 * each), told(seen));
}

/** Sends GOAWAY while long streams are open, again and again, like an application with a maximum connection age. */
async function drainingConnections(arena: Arena): Promise<Verdict> {
  arena.hostile.become((peer, stream) => {
    if (stream.value(":path")?.endsWith("/Long") !== true) return reply(peer, stream);
    peer.send(headers(stream.id, responseHead), goaway(stream.id, 0));
  });
  const peer = await arena.connectCaller();
  await reached(arena, peer);
  const times = 40;
  const long: RawStream[] = [];
  const seen = new Map<string, number>();
  for (let time = 0; time < times; time++) {
    const stream = peer.stream(newId());
    long.push(stream);
    peer.send(headers(stream.id, wildFields(arena, "Long").slice(0, -1)), data(stream.id, message("x")));
    await peer.until(() => stream.fields.length > 0, patienceMs);
    for (const [what, count] of await outcomes(arena, peer, 1)) seen.set(what, (seen.get(what) ?? 0) + count);
  }
  const open = long.filter((stream) => stream.value(":status") === "200" && !stream.isOver).length;
  return verdict(
    allServed(seen, times) && open === times,
    `${told(seen)}; ${open} of ${times} long streams go on over ${arena.hostile.peers.length} connections`,
  );
}

/** Endpoints of which all but two were killed; a caller's proxy that has just joined calls at once. */
async function deadEndpoints(arena: Arena): Promise<Verdict> {
  const { mesh } = arena;
  const count = arena.quick ? 6 : 13;
  const app = join(mesh.dir, "app.sock");
  const started: MeshProxy[] = [];
  for (let number = 0; number < count; number++)
    started.push(await mesh.proxy({ name: `many-${number}`, service: "many", app }));
  await mesh.healthy("many");
  const dead = started.slice(0, count - 2);
  for (const proxy of started) mesh.release(proxy);
  for (const { child } of dead) child.signal("SIGKILL");
  await Promise.all(dead.map(({ child }) => child.exited));
  const caller = await mesh.proxy({ name: "newcomer", service: "front" });
  mesh.release(caller);
  const calls = 30;
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, count] of [
    ["the first", 1],
    ["the next", calls - 1],
  ] as const) {
    const seen = new Map<string, number>();
    for (let done = 0; done < count; done++) {
      const peer = new RawPeer(connectSocket(caller.outbound), false);
      const fields = request("/checks.Echo/Unary", { ":scheme": "http", ":authority": "many", "grpc-timeout": "10S" });
      const what = outcome(peer, await call(peer, fields, { ms: patienceMs }));
      seen.set(what, (seen.get(what) ?? 0) + 1);
      peer.close();
    }
    parts.push([name, verdict(allServed(seen, count), told(seen))]);
  }
  await Promise.all([...started, caller].map(({ child }) => child.stop()));
  return together(parts);
}

/** What holds for a proxy's callers and for a gateway's alike. */
export const stuckCallers: readonly Check[] = [
  unreadUploads("which gives back the connection's window", true),
  unreadUploads("which gives back no window", false),
  {
    row: 43,
    name: "100 callers, an application that takes 4 streams",
    counted: false,
    slowAtGateway: true,
    run: fewStreams,
  },
  { row: 43, name: "GOAWAY 40 times while long streams are open", counted: false, run: drainingConnections },
];

export const stuckStreams: readonly Check[] = [
  ...stuckCallers,
  { row: 43, name: "first calls where most endpoints are dead", counted: false, run: deadEndpoints },
];
