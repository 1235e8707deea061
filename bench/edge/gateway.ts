/** Gateways of a bench's mesh, with listeners that expose the echo service. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Identity } from "../proxy/certificates.js";
import { type BenchMesh, meshPolicy } from "../proxy/mesh.js";
import { freePort, type Processes, untilListening } from "../proxy/pair.js";

const cli = resolve(import.meta.dirname, "../../cli/main.js");

/**
 * Limits for a listener that is open to strangers: its handshakes and connections, and each address's calls and bytes.
 */
export const statedLimits =
  "{ connectionsPerAddress: 20, handshakesPerAddress: 10/s, callsPerAddress: 10/s, kibPerAddress: 64/s, connections: 500, handshakes: 50/s }";

const listener = (name: string, limits: string): string =>
  `  - { name: ${name}, expose: [{ service: echo, methods: [bench.Echo/Call] }], callers: { anyone: true }, limits: ${limits} }\n`;
// an address of the probes connects more often than strangers do
const wide = "{ connectionsPerAddress: 10000, handshakesPerAddress: 100000/s }";

export const edgePolicy = `${meshPolicy}---
kind: Authorization
name: from-outside
service: echo
allow:
  - from: [gateway/public, gateway/other]
    methods: [bench.Echo/Call]
---
kind: Gateway
name: public
listeners:
${listener("probed", wide)}${listener("free", wide)}${listener("limited", statedLimits)}---
kind: Gateway
name: other
listeners:
${listener("free", wide)}`;

export interface BenchGateway {
  readonly pid: number;
  /** The ports by listener. */
  readonly ports: Readonly<Record<string, number>>;
}

/** Starts the gateway `name`. */
export async function startGateway(
  processes: Processes,
  folder: string,
  mesh: Pick<BenchMesh, "run">,
  { certificate, key }: Identity,
  name: string,
  listeners: readonly string[],
): Promise<BenchGateway> {
  const own = join(folder, `gateway-${name}`);
  mkdirSync(own, { mode: 0o700 });
  writeFileSync(join(own, "token"), mesh.run("token", "--gateway", name));
  const ports: Record<string, number> = {};
  for (const listener of listeners) ports[listener] = await freePort();
  const flags = listeners.flatMap((listener) => [
    ...["--listener", `${listener}=127.0.0.1:${ports[listener]}`],
    ...["--cert", `${listener}=${certificate},${key}`],
  ]);
  const child = processes.start(process.execPath, [
    ...[cli, "gateway", "--name", name, "--token", join(own, "token"), "--join", join(folder, "up", "join.json")],
    ...["--data", join(own, "data"), ...flags],
  ]);
  for (const port of Object.values(ports)) await untilListening(port);
  return { pid: child.pid ?? 0, ports };
}
