/** Rows 9 to 12: windows, limits of streams, SETTINGS; both roles. */
import { errorCode } from "../../../data-plane/http2/protocol.js";
import {
  codeName,
  data,
  headers,
  message,
  preface,
  request,
  type Setting,
  settings,
  windowUpdate,
} from "../../support/wire.js";
import {
  type Arena,
  type Check,
  call,
  connectionOutcome,
  newId,
  oneOf,
  outcome,
  together,
  type Verdict,
  verdict,
} from "../check.js";
import { pause } from "../child.js";
import { okTrailers, responseHead } from "../upstream.js";

const big = (timeout: string) => request("/checks.Echo/Big", timeout === "" ? {} : { "grpc-timeout": timeout });

/** 100 answers of 4 MiB that are not taken; 1 byte of window now and then keeps none of them. */
function stalled(
  name: string,
  options: { readonly drip: boolean; readonly timeout: string; readonly waitMs: number; readonly long?: boolean },
): Check {
  return {
    row: 9,
    name: `100 answers stalled, ${name}`,
    slowAtGateway: true,
    ...(options.long === true ? { long: true } : {}),
    run: async (arena) => {
      const peer = await arena.connect({ settings: [[4, 0]], opensWindows: false });
      const rssBefore = arena.attacked.child.rssBytes;
      const streams = Array.from({ length: 100 }, () => {
        const id = newId();
        peer.send(headers(id, big(options.timeout), { endStream: true }));
        return peer.stream(id);
      });
      await pause(1500);
      const buffered = Math.max(...arena.upstream.seen.map(({ stream }) => stream.sentBytes), 0);
      const grew = (arena.attacked.child.rssBytes - rssBefore) / (1 << 20);
      const end = Date.now() + options.waitMs;
      while (Date.now() < end && !streams.every((stream) => stream.isOver) && !peer.closed) {
        if (options.drip) for (const stream of streams) if (!stream.isOver) peer.send(windowUpdate(stream.id, 1));
        await peer.until(() => streams.every((stream) => stream.isOver), options.drip ? 1000 : options.waitMs);
      }
      await pause(200);
      const endings = new Map<string, number>();
      for (const stream of streams) {
        const seen = outcome(peer, stream);
        endings.set(seen, (endings.get(seen) ?? 0) + 1);
      }
      const told = [...endings].map(([seen, count]) => `${count} x ${seen}`).join(", ");
      const wanted = /^(RST_STREAM\(CANCEL\)|grpc-status (4|8|14)|GOAWAY\(ENHANCE_YOUR_CALM\))$/;
      const isPaused = buffered <= 262_144;
      const left = arena.upstream.openCalls;
      const seen = `${told}; at most ${Math.round(buffered / 1024)} KiB taken from the upstream a call, RSS +${grew.toFixed(1)} MiB, ${left} calls left open upstream`;
      return verdict([...endings.keys()].every((one) => wanted.test(one)) && isPaused && left === 0 && grew < 48, seen);
    },
  };
}

async function windowArithmetic(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const onStream = async (name: string, wanted: string, ...updates: number[]) => {
    const peer = await arena.connect();
    const id = newId();
    peer.send(headers(id, request("/checks.Echo/Wait")), ...updates.map((add) => windowUpdate(id, add)));
    const stream = peer.stream(id);
    await peer.until(() => stream.isOver || peer.fatal !== undefined, 10_000);
    const seen = outcome(peer, stream);
    const next = await call(peer);
    parts.push([
      name,
      verdict(seen === wanted && outcome(peer, next) === "grpc-status 0", `${seen}, next call ${outcome(peer, next)}`),
    ]);
    peer.close();
  };
  const onConnection = async (name: string, wanted: string, frames: (id: number) => readonly Buffer[]) => {
    const peer = await arena.connect();
    const id = newId();
    peer.send(headers(id, request("/checks.Echo/Wait")), ...frames(id));
    await peer.until(() => peer.goaways.length > 0, 10_000);
    const closed = await peer.until(() => peer.closed, 10_000);
    const seen = connectionOutcome(peer);
    parts.push([name, verdict(seen === wanted && closed, closed ? seen : `${seen}, left open`)]);
  };
  await onStream("stream +0", "RST_STREAM(PROTOCOL_ERROR)", 0);
  await onStream("stream over 2^31-1", "RST_STREAM(FLOW_CONTROL_ERROR)", 0x7fff_ffff);
  await onStream("stream over by two", "RST_STREAM(FLOW_CONTROL_ERROR)", 0x4000_0000, 0x4000_0000);
  await onConnection("connection +0", "GOAWAY(PROTOCOL_ERROR)", () => [windowUpdate(0, 0)]);
  await onConnection("connection over 2^31-1", "GOAWAY(FLOW_CONTROL_ERROR)", () => [windowUpdate(0, 0x7fff_ffff)]);
  await onConnection("SETTINGS push a stream over", "GOAWAY(FLOW_CONTROL_ERROR)", (id) => [
    windowUpdate(id, 0x7fff_0000),
    settings([[4, 0x7fff_ffff]]),
  ]);
  return together(parts);
}

/** The application takes nothing, so neither may the proxy, beyond the window that it announced. */
async function tooMuchData(arena: Arena): Promise<Verdict> {
  arena.hostile.become(() => {}, { settings: [[4, 0]], opensWindows: false });
  const peer = await arena.connect({}, arena.wild);
  const id = newId();
  peer.send(headers(id, request("/checks.Wild/Unary", { ":authority": "wild" })));
  const stream = peer.stream(id);
  peer.send(...Array.from({ length: 10 }, () => data(id, Buffer.alloc(16_384))));
  await peer.until(() => stream.isOver || peer.fatal !== undefined, 10_000);
  return oneOf(outcome(peer, stream), "RST_STREAM(FLOW_CONTROL_ERROR)", "GOAWAY(FLOW_CONTROL_ERROR)");
}

async function streamsOverLimit(arena: Arena, silent: boolean): Promise<Verdict> {
  const peer = await arena.connect(silent ? { silent: true, polite: false } : {});
  if (silent) peer.send(preface, settings());
  const streams = Array.from({ length: 101 }, () => peer.stream(newId()));
  for (const { id } of streams) peer.send(headers(id, request("/checks.Echo/Wait")));
  const last = streams[100];
  if (last === undefined) throw new Error("no stream");
  await peer.until(() => last.isOver || peer.fatal !== undefined, 10_000);
  await pause(200);
  const others = streams.slice(0, 100).filter(({ isOver }) => isOver).length;
  const seen = `advertised ${peer.peerSettings.get(3)}; 101st: ${outcome(peer, last)}, others over: ${others}, upstream ${arena.upstream.seen.length}`;
  const pass =
    outcome(peer, last) === "RST_STREAM(REFUSED_STREAM)" && others === 0 && arena.upstream.seen.length === 100;
  return verdict(pass && peer.peerSettings.get(3) === 100, seen);
}

const invalidSettings: readonly (readonly [string, Setting, number])[] = [
  ["MAX_FRAME_SIZE 0", [5, 0], errorCode.protocolError],
  ["MAX_FRAME_SIZE 16383", [5, 16_383], errorCode.protocolError],
  ["MAX_FRAME_SIZE 2^24", [5, 2 ** 24], errorCode.protocolError],
  ["INITIAL_WINDOW_SIZE 2^31", [4, 2 ** 31], errorCode.flowControlError],
  ["ENABLE_PUSH 2", [2, 2], errorCode.protocolError],
];
const sillySettings: readonly (readonly [string, Setting])[] = [
  ["table 2^32-1", [1, 2 ** 32 - 1]],
  ["table 0", [1, 0]],
  ["list of 1", [6, 1]],
  ["unknown", [0x99, 7]],
  ["MAX_FRAME_SIZE 2^24-1", [5, 2 ** 24 - 1]],
];

async function settingsOfClient(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, entry, code] of invalidSettings) {
    const peer = await arena.connect();
    peer.send(settings([entry]));
    await peer.until(() => peer.goaways.length > 0, 10_000);
    const closed = await peer.until(() => peer.closed, 10_000);
    const seen = connectionOutcome(peer);
    parts.push([name, verdict(closed && seen === `GOAWAY(${codeName(code)})`, closed ? seen : `${seen}, left open`)]);
  }
  return together(parts);
}

async function sillySettingsOfClient(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, entry] of sillySettings) {
    const peer = await arena.connect({ settings: [entry] });
    parts.push([name, oneOf(outcome(peer, await call(peer)), "grpc-status 0")]);
  }
  return together(parts);
}

/** The application behind the proxy is the one that sends them: callers get 14 or 13, the connection is refused. */
async function settingsOfServer(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, entry, code] of [...invalidSettings, ["ENABLE_PUSH 1", [2, 1], errorCode.protocolError] as const]) {
    arena.hostile.become(() => {}, { settings: [entry] });
    const peer = await arena.connect({}, arena.wild);
    const ask = () => call(peer, request("/checks.Wild/Unary", { ":authority": "wild" }), { ms: 8000 });
    let stream = await ask();
    for (let attempt = 0; attempt < 50 && arena.hostile.peers.length === 0; attempt++) {
      await pause(100); // the proxy rests after an upstream failed
      stream = await ask();
    }
    await Promise.all(arena.hostile.peers.map((one) => one.until(() => one.goaways.length > 0, 1000)));
    const heard = arena.hostile.peers.map((one) => connectionOutcome(one));
    const seen = outcome(peer, stream);
    // Its close may overtake its GOAWAY where we were just writing.
    const isTold = heard.some((ending) => ending === `GOAWAY(${codeName(code)})` || ending.startsWith("closed"));
    parts.push([
      name,
      verdict(/^grpc-status (13|14)$/.test(seen) && isTold, `client ${seen}, server ${heard.join(" ")}`),
    ]);
  }
  return together(parts);
}

async function sillySettingsOfServer(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const [name, entry] of sillySettings) {
    arena.hostile.become(
      (peer, stream) => {
        peer.send(headers(stream.id, responseHead));
        peer.sendData(stream, message("ok"), okTrailers);
      },
      { settings: [entry] },
    );
    const peer = await arena.connect({}, arena.wild);
    await pause(300);
    const ask = () => call(peer, request("/checks.Wild/Unary", { ":authority": "wild" }), { ms: 8000 });
    let stream = await ask();
    for (let attempt = 0; attempt < 50 && outcome(peer, stream) !== "grpc-status 0"; attempt++) {
      await pause(100); // the proxy rests after the upstream of the check before
      stream = await ask();
    }
    parts.push([name, oneOf(outcome(peer, stream), "grpc-status 0")]);
  }
  return together(parts);
}

export const windows: readonly Check[] = [
  stalled("window 0, deadline 2 s", { drip: false, timeout: "2S", waitMs: 8000 }),
  stalled("+1 byte a second, deadline 3 s", { drip: true, timeout: "3S", waitMs: 10_000 }),
  stalled("window 0, no deadline: reaped after 5 min", { drip: false, timeout: "", waitMs: 330_000, long: true }),
  stalled("+1 byte a second, no deadline: reaped after 5 min", {
    drip: true,
    timeout: "",
    waitMs: 330_000,
    long: true,
  }),
  { row: 10, name: "window arithmetic", run: windowArithmetic },
  { row: 10, name: "DATA beyond the window", run: tooMuchData },
  { row: 11, name: "101st stream", run: (arena) => streamsOverLimit(arena, false) },
  { row: 11, name: "101st stream before SETTINGS are acknowledged", run: (arena) => streamsOverLimit(arena, true) },
  { row: 12, name: "invalid SETTINGS of a client", untouched: true, run: settingsOfClient },
  { row: 12, name: "silly SETTINGS of a client are served", counted: false, run: sillySettingsOfClient },
  { row: 12, name: "invalid SETTINGS of an application", slowAtGateway: true, run: settingsOfServer },
  {
    ...{ row: 12, name: "silly SETTINGS of an application are served", counted: false, slowAtGateway: true },
    run: sillySettingsOfServer,
  },
];
