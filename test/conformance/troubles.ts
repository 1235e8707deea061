/** What honest callers and applications do that looks like an attack to whoever counts for a whole connection. */
import { setMaxListeners } from "node:events";
import type { Duplex } from "node:stream";
import { errorCode, settingId } from "../../data-plane/http2/protocol.js";
import { RawPeer } from "../support/raw-peer.js";
import type { RawStream } from "../support/raw-stream.js";
import { data, headers, message, ping, request, reset, windowUpdate } from "../support/wire.js";
import { pause } from "./child.js";

/** Where the callers connect, and the scheme of their calls. */
export interface Way {
  readonly open: () => Duplex;
  readonly scheme: "http" | "https";
}

/** Goes on until `signal` aborts, by connections of `way`; resolves with what of its own went wrong. */
export type Trouble = (way: Way, signal: AbortSignal) => Promise<Map<string, number>>;

/** How much of what is overdue a busy machine makes up for. */
const missedMsMax = 100;

class Caller {
  readonly wrong = new Map<string, number>();
  readonly #way: Way;
  readonly #signal: AbortSignal;
  #peer: RawPeer | undefined;
  #id = 1;

  constructor(way: Way, signal: AbortSignal) {
    this.#way = way;
    this.#signal = signal;
    setMaxListeners(100, signal);
    signal.addEventListener("abort", () => this.#peer?.close());
  }

  note(what: string): void {
    if (!this.#signal.aborted) this.wrong.set(what, (this.wrong.get(what) ?? 0) + 1);
  }

  /** The connection; where it was closed, that is noted and there is another one. */
  async peer(): Promise<RawPeer> {
    if (this.#peer !== undefined && !this.#peer.closed && this.#peer.goaways.length === 0) return this.#peer;
    if (this.#peer !== undefined) this.note(`its connection was ended (GOAWAY ${this.#peer.fatal})`);
    const peer = new RawPeer(this.#way.open(), false);
    this.#peer = peer;
    this.#id = 1;
    await peer.until(() => peer.settingsAcks > 0, 10_000);
    return peer;
  }

  open(peer: RawPeer, method: string, fields: Readonly<Record<string, string>> = {}): RawStream {
    const stream = peer.stream(this.#id);
    this.#id += 2;
    peer.send(headers(stream.id, request(`/checks.Echo/${method}`, { ":scheme": this.#way.scheme, ...fields })));
    return stream;
  }

  /** Waits until the peer takes `count` streams more. Returns false if the connection ended meanwhile. */
  async room(peer: RawPeer, count: number): Promise<boolean> {
    const openMax = peer.peerSettings.get(settingId.maxConcurrentStreams) ?? Number.POSITIVE_INFINITY;
    const open = () => [...peer.streams.values()].filter(({ isOver }) => !isOver).length;
    while (!this.#signal.aborted && !peer.closed && peer.goaways.length === 0) {
      if (open() + count <= openMax) return true;
      await peer.until(() => open() + count <= openMax || this.#signal.aborted, 1000);
    }
    return false;
  }

  /** Notes it if the call does not end with `wanted`. */
  async ends(peer: RawPeer, stream: RawStream, wanted: string): Promise<void> {
    if (this.#signal.aborted) return;
    await peer.until(() => stream.isOver, 10_000);
    peer.streams.delete(stream.id);
    const status = stream.value("grpc-status");
    if (status !== wanted) this.note(`grpc-status ${status}, reset ${stream.resetCode} in place of ${wanted}`);
  }
}

/**
 * Has `one` done `rate` times a second; it opens `streams` streams at once. It waits while the peer takes no more, as
 * HTTP/2 has it, and what a busy machine missed is not made up for.
 */
function often(rate: number, one: (caller: Caller, peer: RawPeer) => void | Promise<void>, streams = 1): Trouble {
  return async (way, signal) => {
    const caller = new Caller(way, signal);
    const everyMs = 1000 / rate;
    const under = new Set<Promise<void>>();
    for (let dueMs = performance.now(); !signal.aborted; dueMs += everyMs) {
      const nowMs = performance.now();
      if (dueMs > nowMs) await pause(dueMs - nowMs);
      else dueMs = Math.max(dueMs, nowMs - missedMsMax);
      const peer = await caller.peer();
      if (!(await caller.room(peer, streams))) continue;
      const work = Promise.resolve(one(caller, peer)).finally(() => under.delete(work));
      under.add(work);
    }
    await Promise.all(under);
    return caller.wrong;
  };
}

/** Several of one kind at once, each with a connection of its own. */
function several(count: number, trouble: Trouble): Trouble {
  return async (way, signal) => {
    const all = await Promise.all(Array.from({ length: count }, () => trouble(way, signal)));
    return new Map(all.flatMap((wrong) => [...wrong]));
  };
}

export const missedDeadlines = often(60, (caller, peer) => {
  const stream = caller.open(peer, "Wait", { "grpc-timeout": "25m" });
  peer.send(data(stream.id, message("x"), true));
  return caller.ends(peer, stream, "4");
});

const cancels = often(200, (caller, peer) => {
  const stream = caller.open(peer, "Wait");
  peer.send(reset(stream.id, errorCode.cancel));
  peer.streams.delete(stream.id);
});

/** Each byte of each message in a frame and a write of its own. */
const oneByteFrames: Trouble = async (way, signal) => {
  const caller = new Caller(way, signal);
  while (!signal.aborted) {
    const peer = await caller.peer();
    const stream = caller.open(peer, "Unary");
    for (let count = 0; count < 60 && !signal.aborted && !stream.isOver; count++) {
      for (const byte of message("x")) {
        peer.send(data(stream.id, Buffer.of(byte)));
        await pause(1);
      }
      await pause(25);
    }
    peer.send(data(stream.id, Buffer.alloc(0), true));
    await caller.ends(peer, stream, "0");
  }
  return caller.wrong;
};

/** Sends what grpc-go's bandwidth estimator sends on both sides: a PING and WINDOW_UPDATEs for each DATA frame. */
export const estimators: Trouble = async (way, signal) => {
  const caller = new Caller(way, signal);
  const rate = often(150, (_caller, peer) => {
    peer.onData = () => peer.send(ping(), windowUpdate(0, 1));
    const stream = _caller.open(peer, "Unary", { "x-answer": "ping" });
    peer.send(data(stream.id, message("x".repeat(100)), true));
    return _caller.ends(peer, stream, "0");
  });
  for (const [what, count] of await rate(way, signal)) caller.wrong.set(what, count);
  return caller.wrong;
};

/** The application ends each call at once; what the caller has under way comes after that. */
export const lateFrames = often(
  4,
  async (caller, peer) => {
    const streams = Array.from({ length: 100 }, () => caller.open(peer, "Unary", { "x-answer": "early" }));
    for (const { id } of streams) peer.send(data(id, message("a".repeat(200))));
    await pause(20);
    for (const { id } of streams) peer.send(windowUpdate(id, 10), data(id, message("late"), true));
    for (const stream of streams) await caller.ends(peer, stream, "0");
  },
  100,
);

const longTrailers = often(50, (caller, peer) => {
  const stream = caller.open(peer, "Unary", { "x-answer": "long" });
  peer.send(data(stream.id, message("x"), true));
  return caller.ends(peer, stream, "0");
});

const malformedAnswers = often(50, (caller, peer) => {
  const stream = caller.open(peer, "Unary", { "x-answer": "malformed" });
  peer.send(data(stream.id, message("x"), true));
  return caller.ends(peer, stream, "13");
});

/** Ends applications of another service than the bystanders call. */
const dyingApplications = often(20, async (caller, peer) => {
  const stream = caller.open(peer, "Unary", { ":authority": "wild", ":path": "/checks.Wild/Unary" });
  peer.send(data(stream.id, message("x"), true));
  await peer.until(() => stream.isOver, 10_000);
  peer.streams.delete(stream.id);
  if (!stream.isOver) caller.note("a call of a dying application did not end");
});

export const troubles: ReadonlyArray<readonly [string, Trouble]> = [
  ["60 missed deadlines a second", missedDeadlines],
  ["200 calls a second cancelled at once", cancels],
  ["ten clients with one-byte messages in frames of one byte", several(10, oneByteFrames)],
  ["pings for each DATA frame, from clients and the application", estimators],
  ["400 early answers a second with frames on their way", lateFrames],
  ["trailers of 20 KiB with spaces around values", longTrailers],
  ["answers that are malformed", malformedAnswers],
  ["an application that dies 20 times a second", dyingApplications],
];
