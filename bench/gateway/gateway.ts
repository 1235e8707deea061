/** A gateway in front of the echo service of a bench's mesh, and what its clients need to know. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Identity } from "../proxy/certificates.js";
import { type BenchMesh, meshPolicy } from "../proxy/mesh.js";
import { freePort, type Processes, untilListening } from "../proxy/pair.js";

const cli = resolve(import.meta.dirname, "../../cli/main.js");
const startBoundMs = 30_000;
/** The listeners. One takes at most 4096 connections, so 10,000 need three. */
export const listeners = ["edge", "second", "third"] as const;

const listenerPolicy = (name: string): string => `  - name: ${name}
    protocols: [grpc, grpc-web, connect]
    expose: [{ service: echo, methods: [bench.Echo/Call] }]
    callers: { anyone: true }
    limits: { connectionsPerAddress: 100000, handshakesPerAddress: 1000000/s }
`;

/** The mesh's policy with a gateway whose clients need no proof. All clients of a bench have the same address. */
export const gatewayPolicy = `${meshPolicy}---
kind: Authorization
name: from-outside
service: echo
allow:
  - from: [gateway/public]
    methods: [bench.Echo/Call]
---
kind: Gateway
name: public
listeners:
${listeners.map(listenerPolicy).join("")}`;

export interface BenchGateway {
  readonly pid: number;
  /** The ports by listener. */
  readonly ports: readonly number[];
}

/** Activates the policy with the gateway. */
export function allowGateway(mesh: BenchMesh, folder: string): void {
  const file = join(folder, "gateway.yaml");
  writeFileSync(file, gatewayPolicy);
  mesh.run("apply", "-f", file, "--wait");
}

/** Starts a gateway with a folder `name` of its own. `profile`: the folder for a CPU profile of the gateway. */
export async function startGateway(
  processes: Processes,
  mesh: BenchMesh,
  folder: string,
  { name, identity, profile }: { readonly name: string; readonly identity: Identity; readonly profile?: string },
): Promise<BenchGateway> {
  const own = join(folder, name);
  mkdirSync(own, { mode: 0o700 });
  writeFileSync(join(own, "token"), mesh.run("token", "--gateway", "public"));
  const ports = await Promise.all(listeners.map(() => freePort()));
  const flags = listeners.flatMap((listener, place) => [
    ...["--listener", `${listener}=127.0.0.1:${ports[place]}`, "--host", `${listener}=localhost`],
    ...["--cert", `${listener}=${identity.certificate},${identity.key}`],
  ]);
  const profiling = profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profile];
  const child = processes.start(process.execPath, [
    ...[...profiling, cli, "gateway", "--name", "public", "--token", join(own, "token"), "--join", mesh.joinFile],
    ...["--data", join(own, "data"), ...flags],
  ]);
  for (const port of ports) await untilListening(port, startBoundMs);
  return { pid: child.pid ?? 0, ports };
}
