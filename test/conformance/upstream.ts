/** The applications behind the proxies under test: one that records what it sees, and one that misbehaves as told. */
import { createServer, type Server } from "node:net";
import { RawPeer, type RawPeerOptions } from "../support/raw-peer.js";
import type { RawStream } from "../support/raw-stream.js";
import { type Field, headers, message, ping, windowUpdate } from "../support/wire.js";

export const responseHead: readonly Field[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];
export const okTrailers: readonly Field[] = [["grpc-status", "0"]];
export const probePath = "/checks.Probe/Unary";

export interface Seen {
  readonly path: string;
  readonly stream: RawStream;
}

const seenMax = 300_000;
/** One for all calls: to make 4 MiB for each takes the time in which clients of this process should be read. */
const bigMessage = message(Buffer.alloc(4 << 20));

/** What applications do now and then, asked for in `x-answer`. */
const longTrailers: readonly Field[] = [
  ...okTrailers,
  ["grpc-message", " a message between spaces "],
  ...Array.from({ length: 20 }, (_, place): Field => [`x-detail-${place}`, "d".repeat(1000)]),
];
const malformedTrailers: readonly Field[] = [...okTrailers, ["Upper-Case", "x"]];

/** Serves by method: Unary echoes, Wait never answers, Big sends 4 MiB, Slow answers a call's first bytes only. */
export class RecordingUpstream {
  /** Everything but the probe's calls. */
  seen: Seen[] = [];
  openCalls = 0;
  mostOpen = 0;
  readonly peers = new Set<RawPeer>();
  readonly #open = new Set<RawStream>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => {
      const peer = new RawPeer(socket, true, { settings: [[3, 10_000]] });
      this.peers.add(peer);
      socket.on("close", () => this.peers.delete(peer));
      peer.onHeaders = (stream) => this.#start(peer, stream);
      peer.onEnd = (stream) => this.#finish(peer, stream);
      peer.onReset = (stream) => this.#over(stream);
    });
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve) => this.#server.listen(path, resolve));
  }

  close(): void {
    this.#server.close();
    for (const peer of this.peers) peer.close();
  }

  forget(): void {
    this.seen = [];
    this.mostOpen = this.openCalls;
  }

  #start(peer: RawPeer, stream: RawStream): void {
    const path = stream.value(":path") ?? "";
    if (path === probePath) return;
    this.openCalls++;
    this.#open.add(stream);
    this.mostOpen = Math.max(this.mostOpen, this.openCalls);
    if (this.seen.length < seenMax) this.seen.push({ path, stream });
    if (stream.value("x-answer") === "early") {
      peer.send(headers(stream.id, [...responseHead, ...okTrailers], { endStream: true }));
    }
    if (!path.endsWith("/Big")) return;
    peer.send(headers(stream.id, responseHead));
    peer.sendData(stream, bigMessage, okTrailers);
  }

  #finish(peer: RawPeer, stream: RawStream): void {
    const path = stream.value(":path") ?? "";
    const answer = stream.value("x-answer");
    if (path.endsWith("/Wait") || path.endsWith("/Big")) return;
    if (answer === "early") {
      this.#over(stream);
      return;
    }
    if (answer === "ping") peer.send(ping(), windowUpdate(0, 1));
    peer.send(headers(stream.id, responseHead));
    const echoed = stream.value("x-sent");
    let trailers = echoed === undefined ? okTrailers : [...okTrailers, ["x-sent", echoed] as const];
    if (answer === "long") trailers = longTrailers;
    else if (answer === "malformed") trailers = malformedTrailers;
    peer.sendData(stream, Buffer.concat(stream.body), trailers);
    this.#over(stream);
    peer.streams.delete(stream.id);
  }

  /** Counts a call as over once: an answered stream may be reset afterwards. */
  #over(stream: RawStream): void {
    if (stream.value(":path") !== probePath && this.#open.delete(stream)) this.openCalls--;
  }
}

export type Behaviour = (peer: RawPeer, stream: RawStream) => void;

/** Answers each call as `behave` says; with `greet`, whatever a connection begins with. */
export class HostileUpstream {
  behave: Behaviour = () => {};
  options: RawPeerOptions = {};
  readonly peers: RawPeer[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => {
      const peer = new RawPeer(socket, true, this.options);
      this.peers.push(peer);
      peer.onHeaders = (stream) => this.behave(peer, stream);
    });
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve) => this.#server.listen(path, resolve));
  }

  /** Connections so far are cut; the next ones behave so. */
  become(behave: Behaviour, options: RawPeerOptions = {}): void {
    for (const peer of this.peers.splice(0)) peer.close();
    this.behave = behave;
    this.options = options;
  }

  close(): void {
    this.#server.close();
    for (const peer of this.peers) peer.close();
  }
}
