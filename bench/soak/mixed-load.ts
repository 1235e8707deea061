/**
 * Makes calls of many kinds at a steady rate: small and large, streams, cancelled, denied, over connections that come
 * and go.
 */
import { errorCode } from "../../data-plane/http2/protocol.js";
import { pause } from "../../test/conformance/child.js";
import { connectSocket } from "../../test/conformance/mesh.js";
import { RawPeer } from "../../test/support/raw-peer.js";
import type { RawStream } from "../../test/support/raw-stream.js";
import { data, headers, message, request, reset } from "../../test/support/wire.js";

type Kind = (peer: RawPeer, stream: RawStream) => Promise<string | undefined>;

const callsPerConnection = 5000;
const small = message("x".repeat(64));
const part = message(Buffer.alloc(8000));

function begin(peer: RawPeer, stream: RawStream, method: string, fields: Readonly<Record<string, string>> = {}): void {
  const traceparent = `00-${stream.id.toString(16).padStart(32, "a")}-${stream.id.toString(16).padStart(16, "b")}-01`;
  peer.send(headers(stream.id, request(`/checks.Echo/${method}`, { ":scheme": "http", traceparent, ...fields })));
}

/**
 * Waits for the end of a stream. undefined: it ended with status `wanted` and, if `bytes` is given, returned that many
 * bytes.
 */
async function ends(peer: RawPeer, stream: RawStream, wanted: string, bytes?: number): Promise<string | undefined> {
  await peer.until(() => stream.isOver, 10_000);
  const status = stream.value("grpc-status");
  if (status === wanted && (bytes === undefined || stream.bytes === bytes)) return undefined;
  return stream.isOver ? `grpc-status ${status}, reset ${stream.resetCode}, ${stream.bytes} bytes` : "no end in 10 s";
}

const unary: Kind = (peer, stream) => {
  begin(peer, stream, "Unary", { "grpc-timeout": `${5000 + (stream.id % 1000)}m` });
  peer.send(data(stream.id, small, true));
  return ends(peer, stream, "0", small.length);
};

const large: Kind = (peer, stream) => {
  begin(peer, stream, "Unary");
  for (let sent = 0; sent < 4; sent++) peer.send(data(stream.id, part, sent === 3));
  return ends(peer, stream, "0", 4 * part.length);
};

const streaming: Kind = async (peer, stream) => {
  begin(peer, stream, "Unary");
  for (let sent = 0; sent < 20; sent++) {
    peer.send(data(stream.id, small));
    await pause(20);
  }
  peer.send(data(stream.id, Buffer.alloc(0), true));
  return ends(peer, stream, "0", 20 * small.length);
};

const cancelled: Kind = async (peer, stream) => {
  begin(peer, stream, "Wait");
  peer.send(data(stream.id, small));
  await pause(30);
  peer.send(reset(stream.id, errorCode.cancel));
  return stream.isOver ? "ended before it was cancelled" : undefined;
};

const late: Kind = (peer, stream) => {
  begin(peer, stream, "Wait", { "grpc-timeout": "50m" });
  peer.send(data(stream.id, small, true));
  return ends(peer, stream, "4");
};

const denied: Kind = (peer, stream) => {
  begin(peer, stream, "Forbidden");
  peer.send(data(stream.id, small, true));
  return ends(peer, stream, "7");
};

const unknown: Kind = (peer, stream) => {
  begin(peer, stream, "Unary", { ":authority": "nobody" });
  peer.send(data(stream.id, small, true));
  return ends(peer, stream, "14");
};

/** How many of a hundred calls are of each kind. */
const mix: readonly (readonly [Kind, number])[] = [
  [unary, 80],
  [large, 5],
  [streaming, 5],
  [cancelled, 4],
  [late, 2],
  [denied, 2],
  [unknown, 2],
];
const kinds = mix.flatMap(([kind, share]) => Array.from({ length: share }, () => kind));

export class MixedLoad {
  done = 0;
  readonly failures = new Map<string, number>();
  readonly #workers: readonly Promise<void>[];
  #stopped = false;

  constructor(socket: string, rate: number) {
    const workers = 16;
    this.#workers = Array.from({ length: workers }, (_, place) => this.#work(socket, (1000 * workers) / rate, place));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  async #work(socket: string, everyMs: number, place: number): Promise<void> {
    let turn = place * 7;
    while (!this.#stopped) {
      const peer = new RawPeer(connectSocket(socket), false);
      for (let call = 0; call < callsPerConnection && !this.#stopped && !peer.closed; call++) {
        const startedMs = performance.now();
        turn = (turn + 37) % kinds.length; // so that every kind comes up in proportion to its share
        const stream = peer.stream(2 * call + 1);
        const failure = await (kinds[turn] as Kind)(peer, stream);
        peer.streams.delete(stream.id);
        this.done++;
        if (failure !== undefined) this.failures.set(failure, (this.failures.get(failure) ?? 0) + 1);
        await pause(Math.max(0, everyMs - (performance.now() - startedMs)));
      }
      peer.close();
    }
  }
}
