import { connect } from "node:net";
import { defaultLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import { nobody, type StreamSink } from "../../data-plane/http2/stream.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";

/** The window of a stream on each hop, in bytes. */
export const windowBytes = 65_535;
const settleMs = 3000;
const head = [
  new PreparedField(":method", "POST"),
  new PreparedField(":scheme", "http"),
  new PreparedField(":path", "/bench.Echo/Call"),
  new PreparedField(":authority", "echo"),
  new PreparedField("te", "trailers"),
  new PreparedField("content-type", "application/grpc"),
];

export interface StalledStreams {
  /** How many bytes of an answer arrived before the caller's window was used up. */
  readonly held: number;
  release(): void;
}

/**
 * Opens `count` streams at the outbound proxy on `port` and takes no bytes of their answers, which are longer than the
 * windows of the caller and of both proxies together. Resolves when nothing moves any more.
 */
export async function stallStreams(port: number, count: number): Promise<StalledStreams> {
  const loop = new EngineLoop(() => performance.now());
  const deps = { loop, counters: new EngineCounters(), pool: new BlockPool(), onFault: () => {} };
  const limits = { ...defaultLimits, connectionWindowBytes: count * windowBytes };
  const socket = connect(port, "127.0.0.1");
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const owner: ConnectionOwner = { onRequest: (stream) => stream.reset(1), onCapacity() {}, onClosed() {} };
  const wire = new SocketConnection(socket, false, limits, owner, deps);
  const message = Buffer.alloc(5);
  let received = 0;
  const sink: StreamSink = {
    ...nobody,
    onData(_stream, _bytes, start, end) {
      received += end - start;
    },
  };
  for (let opened = 0; opened < count; ) {
    const stream = wire.connection.open(sink);
    if (stream === null) {
      await new Promise((wait) => setTimeout(wait, 10));
      continue;
    }
    opened++;
    stream.sendFields(head, null, null, false);
    stream.sendData(message, 0, message.length, true);
  }
  for (let before = -1; before !== received; ) {
    before = received;
    await new Promise((wait) => setTimeout(wait, settleMs));
  }
  const release = (): void => {
    wire.destroy();
    loop.stop();
  };
  return { held: Math.round(received / count), release };
}
