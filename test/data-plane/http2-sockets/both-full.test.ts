/** What two sides send at once must not keep either from reading. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { nobody, type Stream } from "../../../data-plane/http2/stream.js";
import { type ConnectionOwner, SocketConnection } from "../../../data-plane/http2-sockets/socket-connection.js";
import { createProxyEngine } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { systemClock } from "../../../runtime/clock.js";
import { until } from "../../support/until.js";

const calls = 40;
const bytesEach = 1 << 20;
const windowBytes = 1 << 20;
const limits = { ...defaultLimits, streamWindowBytes: windowBytes, connectionWindowBytes: calls * windowBytes };
const fields = (text: string): readonly PreparedField[] =>
  text.split(" ").map((pair) => new PreparedField(...(pair.split("=") as [string, string])));
const request = fields(":method=POST :scheme=http :path=/a.B/C :authority=a content-type=application/grpc te=trailers");
const response = fields(":status=200 content-type=application/grpc");

test("a connection that is full in both directions goes on in both", async () => {
  const engine = createProxyEngine(
    () => systemClock.monotonicMs(),
    (error) => {
      throw error;
    },
  );
  const dir = mkdtempSync(join(tmpdir(), "full-"));
  const heard = { requests: 0, responses: 0 };
  const payload = Buffer.alloc(bytesEach);
  payload.writeUInt32BE(bytesEach - 5, 1);
  const owner = (taken: "requests" | "responses"): ConnectionOwner & { sink: typeof nobody } => ({
    sink: {
      ...nobody,
      onData(stream: Stream, _bytes: Uint8Array, start: number, end: number) {
        heard[taken] += end - start;
        stream.consumed(end - start);
      },
    },
    onRequest(stream) {
      stream.sink = this.sink;
      stream.sendFields(response, null, null, false);
      stream.sendData(payload, 0, payload.length, false);
    },
    onCapacity() {},
    onClosed() {},
  });
  const server = createServer((socket) => new SocketConnection(socket, true, limits, owner("requests"), engine));
  await new Promise<void>((resolve) => server.listen(join(dir, "s"), resolve));
  const client = owner("responses");
  const { connection } = new SocketConnection(connect({ path: join(dir, "s") }), false, limits, client, engine);
  await until("it is set up", () => connection.control.settingsReceived);
  for (let call = 0; call < calls; call++) {
    const stream = connection.open(client.sink);
    stream?.sendFields(request, null, null, false);
    stream?.sendData(payload, 0, payload.length, false);
  }
  try {
    const all = calls * bytesEach;
    await until("all of it has come", () => heard.requests === all && heard.responses === all, 20_000);
    expect(heard).toEqual({ requests: all, responses: all });
  } finally {
    engine.stop();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
