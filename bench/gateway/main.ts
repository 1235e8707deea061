import { copyFileSync, mkdirSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { numberFlag, readFlags } from "../options.js";
import { type BenchIdentities, writeIdentities } from "../proxy/certificates.js";
import { type Contender, machine } from "../proxy/contenders.js";
import { startMesh } from "../proxy/mesh.js";
import { type Processes, startEcho } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";
import { startBareEdge } from "./bare-edge.js";
import { measureCalls } from "./calls.js";
import { allowGateway, startGateway } from "./gateway.js";
import { measureIdle } from "./idle.js";
import { startEdgePeers } from "./peers.js";
import { measureReload } from "./reload.js";
import { measureWeb } from "./web.js";

const parts = ["calls", "web", "idle", "reload"] as const;
const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:gateway -- [--only ${parts.join(" ")}] [--shapes 8x32,64x1] [--rounds 2] [--seconds 2] [--idle 10000]
  [--reloads 20] [--quick] [--no-peers] [--profile FOLDER]
What a gateway costs, its clients without certificates: a plain gRPC call (calls) beside both proxies of a pair, the engine
without a mesh, HAProxy, nginx and Envoy; a call of gRPC-Web and Connect (web) beside Envoy; an idle connection (idle) beside
TLS alone; and what fails while certificates are replaced (reload). About four minutes on a quiet machine.`,
  example: "npm run bench:gateway -- --only calls --rounds 1",
});
const quick = flags.has("quick");
const only = flags.get("only") ?? parts;
const rounds = numberFlag(flags, "rounds", quick ? 1 : 2);
const seconds = numberFlag(flags, "seconds", quick ? 1 : 2);
const idle = numberFlag(flags, "idle", quick ? 1000 : 10_000);
const reloads = numberFlag(flags, "reloads", quick ? 4 : 20);
const shapes = (flags.get("shapes")?.[0] ?? "8x32,64x1").split(",");
const profile = flags.get("profile")?.[0];

/** Copies the identity's files, so that they can be replaced. */
function copyOf({ server }: BenchIdentities, folder: string): BenchIdentities["server"] {
  const own = join(folder, "shown");
  mkdirSync(own, { mode: 0o700 });
  const copy = { certificate: join(own, "tls.crt"), key: join(own, "tls.key"), both: server.both };
  copyFileSync(server.certificate, copy.certificate);
  copyFileSync(server.key, copy.key);
  return copy;
}

/** Starts the application with mutual TLS, for contenders without a proxy in front of it. */
async function startTlsEcho(processes: Processes, { ca, server }: BenchIdentities): Promise<number> {
  const tls = ["--tls", server.certificate, server.key, "--ca", ca];
  return (await startEcho(processes, tls)).port;
}

await runBench(async (processes, folder) => {
  const identities = writeIdentities(folder);
  const echo = await startEcho(processes);
  const mesh = await startMesh(processes, folder, echo.port, { profile });
  allowGateway(mesh, folder);
  const shown = copyOf(identities, folder);
  const start = (name: string) =>
    startGateway(processes, mesh, folder, { name, identity: shown, ...(profile !== undefined && { profile }) });
  const gateway = await start("gateway");
  console.log(`${machine()}, ${rounds} rounds of ${seconds} s, load average ${loadavg()[0]?.toFixed(1)}`);
  const loadFlags = ["--tls", "--authority", "localhost"];
  const ours: Contender = { name: "gateway", port: gateway.ports[0] ?? 0, pids: [gateway.pid], loadFlags };
  const needsPeers = !flags.has("no-peers") && (only.includes("calls") || only.includes("web"));
  const to = needsPeers ? await startTlsEcho(processes, identities) : 0;
  const peers = needsPeers ? await startEdgePeers(processes, folder, identities, to) : [];
  if (only.includes("calls")) {
    const half = (name: string, place: number): Contender => ({
      ...{ name, port: mesh.port, pids: mesh.pids.slice(place, place + 1) },
    });
    const bare = needsPeers ? [await startBareEdge(processes, identities, to)] : [];
    const contenders = [half("inbound of a pair", 0), ours, half("outbound of a pair", 1), ...bare, ...peers];
    measureCalls(contenders, { rounds, seconds, shapes });
  }
  if (only.includes("web")) measureWeb([ours, ...peers.filter(({ name }) => name === "Envoy")], { rounds, seconds });
  if (only.includes("idle"))
    await measureIdle(processes, await start("idle"), shown, { count: idle, settleSeconds: quick ? 3 : 10 });
  if (only.includes("reload")) await measureReload(gateway, shown, folder, reloads);
});
