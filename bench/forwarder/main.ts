import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import type { Connection } from "../../data-plane/http2/connection.js";
import { defaultLimits, type EngineLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { errorCode } from "../../data-plane/http2/protocol.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";
import { numberFlag, readFlags } from "../options.js";
import { Forward } from "./forward.js";

const flags = readFlags(process.argv.slice(2), {
  text: `node dist/bench/forwarder/main.js --port N --to N [--upstreams 4] [--tls CERT KEY CA] [--to-tls CERT KEY CA]
The engine as a bare proxy: no identity, policy or routing. Shows what frames alone cost.`,
  example: "node dist/bench/forwarder/main.js --port 9001 --to 9000",
});
const limits: EngineLimits = { ...defaultLimits, concurrentStreamsMax: 1000 };
const deps = {
  loop: new EngineLoop(() => performance.now()),
  counters: new EngineCounters(),
  pool: new BlockPool(),
  onFault: (error: unknown) => console.error(error),
};
const upstreams: SocketConnection[] = [];
const wanted = numberFlag(flags, "upstreams", 4);
let listening = false;

const upstreamOwner: ConnectionOwner = {
  onRequest(stream) {
    stream.reset(errorCode.protocolError);
  },
  onCapacity() {
    if (!listening && upstreams.length === wanted && upstreams.every(({ connection }) => connection.canOpen)) listen();
  },
  onClosed() {
    console.error("an upstream connection ended");
    process.exit(1);
  },
};

/** Returns the first connection with room. The fewer are in use, the more calls share a write. */
function pick(): Connection | undefined {
  for (const { connection } of upstreams) if (connection.canOpen) return connection;
  return undefined;
}

function dial(): void {
  const port = numberFlag(flags, "to", 0);
  const tls = flags.get("to-tls");
  const [cert, key, ca] = tls ?? [];
  const socket: Socket =
    tls === undefined
      ? connect(port, "127.0.0.1")
      : connectTls({
          port,
          host: "127.0.0.1",
          servername: "localhost",
          ALPNProtocols: ["h2"],
          cert: readFileSync(cert ?? ""),
          key: readFileSync(key ?? ""),
          ca: readFileSync(ca ?? ""),
        });
  socket.once(tls === undefined ? "connect" : "secureConnect", () => {
    upstreams.push(new SocketConnection(socket, false, limits, upstreamOwner, deps));
  });
  socket.on("error", (error) => console.error(error.message));
}

const owner: ConnectionOwner = {
  onRequest(stream, fields, endStream) {
    const upstream = pick();
    if (upstream === undefined) {
      stream.reset(errorCode.refusedStream);
      return;
    }
    const forward = new Forward(stream);
    stream.sink = forward;
    forward.start(upstream, fields, endStream);
  },
  onCapacity() {},
  onClosed() {},
};

const accept = (socket: Socket) => {
  new SocketConnection(socket, true, limits, owner, deps);
};
const tls = flags.get("tls");
const [cert, key, ca] = tls ?? [];
const server =
  tls === undefined
    ? createServer(accept)
    : createTlsServer(
        {
          cert: readFileSync(cert ?? ""),
          key: readFileSync(key ?? ""),
          ca: readFileSync(ca ?? ""),
          requestCert: true,
          rejectUnauthorized: true,
          ALPNProtocols: ["h2"],
        },
        accept,
      );
server.on("tlsClientError", () => {});
function listen(): void {
  listening = true;
  server.listen(numberFlag(flags, "port", 0), "127.0.0.1", () => console.log("ready"));
}
for (let i = 0; i < wanted; i++) dial();
process.on("SIGTERM", () => process.exit(0));
