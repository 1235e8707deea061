/** Rows 7 and 8: floods of frames that are cheap to send. */
import { errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { data, frame, headers, message, ping, priority, request, settings, windowUpdate } from "../../support/wire.js";
import { type Arena, type Check, connectionOutcome, newId, outcome, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";

const waiting = request("/checks.Echo/Wait");
const framesPerTurn = 100;
const turnMs = 10;

/**
 * 10,000 frames a second, nothing read by the application; a connection that is cut is opened again until
 * the time is over.
 */
function flood(row: number, name: string, one: (id: number) => Buffer, isOpen = false): Check {
  return {
    row,
    name: `flood: ${name}`,
    slowAtGateway: !["PING", "DATA of 1 byte"].includes(name),
    run: async (arena) => {
      const end = Date.now() + arena.seconds(60, 0.6) * 1000;
      const rssBefore = arena.attacked.child.rssBytes;
      const endings = new Map<string, number>();
      let sent = 0;
      let mostSent = 0;
      while (Date.now() < end) {
        const peer = await arena.connect({ polite: false });
        const id = newId();
        if (isOpen) peer.send(headers(id, waiting));
        const turn = Buffer.concat(Array.from({ length: framesPerTurn }, () => one(id)));
        let onThis = 0;
        while (Date.now() < end && peer.fatal === undefined && !peer.closed && onThis < 20_000) {
          peer.send(turn);
          onThis += framesPerTurn;
          await pause(turnMs);
        }
        const cutInTime = await peer.until(() => peer.fatal !== undefined || peer.closed, 500);
        if (cutInTime || Date.now() < end) {
          const ending = connectionOutcome(peer);
          endings.set(ending, (endings.get(ending) ?? 0) + 1);
          mostSent = Math.max(mostSent, onThis);
        }
        sent += onThis;
        peer.close();
        await pause(50);
      }
      const grew = (arena.attacked.child.rssBytes - rssBefore) / (1 << 20);
      const told = [...endings].map(([ending, count]) => `${count} x ${ending}`).join(", ");
      const seen = `${sent} frames: ${told === "" ? "nothing" : told}, at most ${mostSent} on a connection; RSS ${grew >= 0 ? "+" : ""}${grew.toFixed(1)} MiB`;
      const isCalm =
        endings.size > 0 && [...endings.keys()].every((ending) => /^GOAWAY\(ENHANCE_YOUR_CALM\)|^closed/.test(ending));
      const someCalm = endings.has("GOAWAY(ENHANCE_YOUR_CALM)");
      return verdict(isCalm && someCalm && grew < arena.seconds(48, 32), seen);
    },
  };
}

/** Nothing is read from the socket, so answers pile up at the proxy: it must stop, not buffer. */
async function unreadAnswers(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect({ polite: false });
  peer.socket.pause();
  const rssBefore = arena.attacked.child.rssBytes;
  const many = Buffer.concat(Array.from({ length: 1000 }, () => ping()));
  for (let turn = 0; turn < 300 && !peer.socket.destroyed && peer.socket.writableLength < 4 << 20; turn++) {
    peer.send(many);
    await pause(5);
  }
  const grew = (arena.attacked.child.rssBytes - rssBefore) / (1 << 20);
  peer.socket.resume();
  await peer.until(() => peer.closed, 10_000);
  const seen = `${connectionOutcome(peer)}, ${peer.pingAcks.length} answers, RSS +${grew.toFixed(1)} MiB`;
  return verdict(
    (peer.fatal === errorCode.enhanceYourCalm || peer.closed) && peer.pingAcks.length <= 1100 && grew < 16,
    seen,
  );
}

async function everyUnknownType(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  for (let type = 0x0a; type <= 0xff; type++) peer.send(frame(type, 0xff, type % 3, Buffer.alloc(type)));
  const id = newId();
  peer.send(headers(id, request("/checks.Echo/Unary")), data(id, message("x"), true));
  const stream = peer.stream(id);
  await peer.until(() => stream.isOver, 10_000);
  const seen = `246 types once, then ${outcome(peer, stream)}`;
  return verdict(outcome(peer, stream) === "grpc-status 0", seen);
}

/** 1000 small messages a second on one stream are legal. */
async function smallMessages(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const id = newId();
  const stream = peer.stream(id);
  peer.send(headers(id, request("/checks.Echo/Unary")));
  const end = Date.now() + arena.seconds(60, 2) * 1000;
  let sent = 0;
  const startedMs = performance.now();
  while (Date.now() < end && !stream.isOver && !peer.closed) {
    const due = Math.floor(performance.now() - startedMs);
    const pieces: Buffer[] = [];
    for (; sent < due; sent++) pieces.push(data(id, message("abc")));
    if (pieces.length > 0) peer.send(...pieces);
    await pause(5);
  }
  peer.send(data(id, Buffer.alloc(0), true));
  await peer.until(() => stream.isOver || peer.closed, 10_000);
  const arrived = arena.upstream.seen[0]?.stream.bytes ?? 0;
  const seen = `${sent} messages of 3 bytes: ${outcome(peer, stream)}, ${arrived} of ${sent * 8} bytes arrived`;
  return verdict(outcome(peer, stream) === "grpc-status 0" && arrived === sent * 8, seen);
}

export const floods: readonly Check[] = [
  flood(7, "PING", () => ping()),
  flood(7, "PING answers nobody asked for", () => frame(frameType.ping, frameFlag.ack, 0, Buffer.alloc(8))),
  flood(7, "SETTINGS", () => settings()),
  flood(7, "SETTINGS that change the window", () => settings([[4, 1]])),
  flood(7, "PRIORITY", (id) => priority(id + 2)),
  flood(7, "unknown frames of stream 0", () => frame(0x0b, 0, 0, Buffer.alloc(20))),
  flood(7, "ORIGIN and ALTSVC", () =>
    Buffer.concat([frame(0x0c, 0, 0, Buffer.alloc(9)), frame(0x0a, 0, 0, Buffer.alloc(9))]),
  ),
  flood(7, "WINDOW_UPDATE of the connection", () => windowUpdate(0, 1)),
  flood(7, "WINDOW_UPDATE of a stream", (id) => windowUpdate(id, 1), true),
  flood(8, "empty DATA", (id) => data(id, Buffer.alloc(0)), true),
  flood(8, "DATA of 1 byte", (id) => data(id, Buffer.of(1)), true),
  flood(
    8,
    "DATA that is all padding",
    (id) => frame(frameType.data, frameFlag.padded, id, Buffer.concat([Buffer.of(200), Buffer.alloc(200)])),
    true,
  ),
  { row: 7, name: "PINGs whose answers nobody reads", slowAtGateway: true, run: unreadAnswers },
  { row: 7, name: "each unknown type once is tolerated", run: everyUnknownType, counted: false },
  { row: 8, name: "legal: 1000 messages of 3 bytes a second", run: smallMessages, counted: false, slowAtGateway: true },
];
