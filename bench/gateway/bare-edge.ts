/** The engine without a mesh in place of a gateway. It shows what frames and TLS on both sides cost. */
import { resolve } from "node:path";
import type { BenchIdentities } from "../proxy/certificates.js";
import type { Contender } from "../proxy/contenders.js";
import { freePort, type Processes, untilListening } from "../proxy/pair.js";

const program = resolve(import.meta.dirname, "../forwarder/main.js");

/**
 * Starts it. It asks for a client certificate, which costs no call anything: the load begins when all connections are
 * open.
 */
export async function startBareEdge(
  processes: Processes,
  { ca, client, server }: BenchIdentities,
  to: number,
): Promise<Contender> {
  const port = await freePort();
  const own = ["--tls", server.certificate, server.key, ca, "--to-tls", client.certificate, client.key, ca];
  const child = processes.start(process.execPath, [program, "--port", String(port), "--to", String(to), ...own]);
  await untilListening(port);
  const proof = ["--cert", client.certificate, "--key", client.key];
  return {
    name: "bare engine",
    port,
    pids: [child.pid ?? 0],
    loadFlags: ["--tls", "--authority", "localhost", ...proof],
  };
}
