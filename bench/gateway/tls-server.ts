/**
 * A bare server of node:tls that takes connections and sends nothing. It shows what TLS alone keeps in memory.
 * Arguments: CERT KEY PORT.
 */
import { readFileSync } from "node:fs";
import { createServer, type TLSSocket } from "node:tls";

const [certificate = "", key = "", port = "0"] = process.argv.slice(2);
const kept = new Set<TLSSocket>();
const options = {
  cert: readFileSync(certificate),
  key: readFileSync(key),
  ALPNProtocols: ["h2"],
  secureOptions: 0x4000,
};
createServer(options, (socket) => {
  kept.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => kept.delete(socket));
  socket.resume();
}).listen(Number(port), "127.0.0.1", 4096);
