import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { defaultLimits, type EngineLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";
import { numberFlag, readFlags } from "../options.js";
import { Echo } from "./echo.js";
import { messageOf } from "./message.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:echo -- --port N [--host 127.0.0.1] [--socket PATH] [--streams 100] [--answer BYTES] [--tls CERT KEY [--ca FILE]]`,
  example: "npm run bench:echo -- --port 9000",
});
const limits: EngineLimits = {
  ...defaultLimits,
  concurrentStreamsMax: numberFlag(flags, "streams", defaultLimits.concurrentStreamsMax),
  requestRules: { ...defaultLimits.requestRules, grpcOnly: false },
};
const loop = new EngineLoop(() => performance.now());
const counters = new EngineCounters();
const pool = new BlockPool();
const answerBytes = numberFlag(flags, "answer", -1);
/** The answer to gRPC calls. undefined: an echo. */
const answer = answerBytes < 0 ? undefined : messageOf(answerBytes, true);
const owner: ConnectionOwner = {
  onRequest(stream, fields, endStream) {
    stream.sink = new Echo(stream, fields, endStream, answer);
  },
  onCapacity() {},
  onClosed() {},
};

function accept(socket: Socket): void {
  new SocketConnection(socket, true, limits, owner, {
    loop,
    counters,
    pool,
    onFault: (error: unknown) => console.error(error),
  });
}

const tls = flags.get("tls");
const [certificate, key] = tls ?? [];
if (tls !== undefined && (certificate === undefined || key === undefined)) {
  console.error("--tls takes two files: the certificate and its key");
  process.exit(2);
}
const ca = flags.get("ca")?.[0];
const server =
  certificate === undefined || key === undefined
    ? createServer(accept)
    : createTlsServer(
        {
          cert: readFileSync(certificate),
          key: readFileSync(key),
          ALPNProtocols: ["h2"],
          minVersion: "TLSv1.2",
          ...(ca === undefined ? {} : { ca: readFileSync(ca), requestCert: true, rejectUnauthorized: true }),
        },
        accept,
      );
server.on("tlsClientError", () => {});
server.on("error", (error) => {
  console.error(`cannot listen: ${error.message}`);
  process.exit(1);
});
const socketPath = flags.get("socket")?.[0];
const listening = () => {
  const address = server.address();
  console.log(`ready ${typeof address === "string" ? address : address?.port}`);
};
if (socketPath !== undefined) server.listen(socketPath, listening);
else server.listen(numberFlag(flags, "port", 0), flags.get("host")?.[0] ?? "127.0.0.1", listening);

function stop(): void {
  server.close();
  loop.stop();
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
