/**
 * An application that keeps a journal by itself, with the nats client. It appends each request to a stream and answers
 * with it. If the path ends with Two, it also appends the outcome before it answers. /Call appends nothing.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { connect, headers, type JetStreamClient } from "nats";
import type { FieldBlock } from "../../data-plane/http2/field-block.js";
import { fieldName } from "../../data-plane/http2/field-names.js";
import { defaultLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import type { Stream, StreamSink } from "../../data-plane/http2/stream.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";

const [port, nats, replicas = "1"] = process.argv.slice(2);
if (port === undefined || nats === undefined) throw new Error("a port and the URL of NATS are wanted");
const connection = await connect({ servers: nats });
const manager = await connection.jetstreamManager();
const added = await manager.streams.add({ name: "BENCH", subjects: ["bench.>"], num_replicas: Number(replicas) });
if (added.config.num_replicas !== Number(replicas)) throw new Error("the stream has not as many replicas as it should");
const stream = connection.jetstream();

const head = [new PreparedField(":status", "200"), new PreparedField("content-type", "application/grpc")];
const good = [new PreparedField("grpc-status", "0")];
const bad = [new PreparedField("grpc-status", "14")];

class Write implements StreamSink {
  readonly #appends: number;
  readonly #parts: Uint8Array[] = [];

  constructor(appends: number) {
    this.#appends = appends;
  }

  onData(call: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    call.consumed(end - start);
    this.#parts.push(Uint8Array.prototype.slice.call(bytes, start, end));
    if (endStream) void this.#answer(call).catch(() => call.sendFields([...head, ...bad], null, null, true));
  }

  async #answer(call: Stream): Promise<void> {
    const body = Buffer.concat(this.#parts);
    for (let count = 0; count < this.#appends; count += 1)
      await append(stream, count === 0 ? "bench.entry" : "bench.outcome", body);
    call.sendFields(head, null, null, false);
    call.sendData(body, 0, body.length, false);
    call.sendFields(good, null, null, true);
  }

  onTrailers(): void {}
  onResponse(): void {}
  onReset(): void {}
  onTaken(): void {}
}

async function append(to: JetStreamClient, subject: string, body: Uint8Array): Promise<void> {
  const own = headers();
  own.set("Nats-Msg-Id", randomBytes(16).toString("hex"));
  await to.publish(subject, body, { headers: own });
}

function appendsOf(fields: FieldBlock): number {
  const path = fields.valueText(fields.find(fieldName.path));
  return path.endsWith("Two") ? 2 : path.endsWith("One") ? 1 : 0;
}

const loop = new EngineLoop(() => performance.now());
const shared = { loop, counters: new EngineCounters(), pool: new BlockPool(), onFault: console.error };
const owner = {
  onRequest(call: Stream, fields: FieldBlock): void {
    call.sink = new Write(appendsOf(fields));
  },
  onCapacity(): void {},
  onClosed(): void {},
};
const limits = { ...defaultLimits, concurrentStreamsMax: 1000 };
createServer((socket) => void new SocketConnection(socket, true, limits, owner, shared)).listen(
  Number(port),
  "127.0.0.1",
);
process.on("SIGTERM", () => process.exit(0));
