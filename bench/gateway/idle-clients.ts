/**
 * Opens COUNT connections over TLS, spread over PORT..., and keeps them open. With `http2` they send HTTP/2's greeting,
 * with `tls` nothing. Arguments: http2|tls COUNT PORT... Prints `open N` when all are open, and `closed` for each one
 * that the other side closes.
 */
import type { Socket } from "node:net";
import { connect, createSecureContext } from "node:tls";
import { defaultLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";

const [speaks = "tls", count = "0", ...ports] = process.argv.slice(2);
const total = Number(count);
const atOnce = 32;
const deps = {
  loop: new EngineLoop(() => performance.now()),
  counters: new EngineCounters(),
  pool: new BlockPool(),
  onFault: (error: unknown) => console.error(error),
};
const owner = { onRequest() {}, onCapacity() {}, onClosed() {} };
const secureContext = createSecureContext({});
let begun = 0;
let open = 0;

function dial(): Promise<Socket> {
  const port = Number(ports[begun++ % ports.length]);
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      servername: "localhost",
      ALPNProtocols: ["h2"],
      rejectUnauthorized: false,
    };
    const socket = connect({ ...options, secureContext }, () => resolve(socket));
    socket.once("error", reject);
  });
}

async function lane(): Promise<void> {
  while (begun < total) {
    const socket = await dial();
    socket.on("error", () => {});
    socket.once("close", () => console.log("closed"));
    if (speaks === "http2") new SocketConnection(socket, false, defaultLimits, owner, deps);
    else socket.resume();
    open++;
  }
}

await Promise.all(Array.from({ length: atOnce }, lane));
console.log(`open ${open}`);
