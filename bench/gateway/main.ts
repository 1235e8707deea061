import { loadavg } from "node:os";
import { numberFlag, readFlags } from "../options.js";
import { writeIdentities } from "../proxy/certificates.js";
import { type Contender, machine } from "../proxy/contenders.js";
import { startMesh } from "../proxy/mesh.js";
import { startEcho } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";
import { measureCalls } from "./calls.js";
import { allowGateway, startGateway } from "./gateway.js";

const parts = ["calls"] as const;
const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:gateway -- [--only calls] [--shapes 8x32,64x1] [--rounds 3] [--seconds 3] [--quick] [--profile FOLDER]
What a gateway costs: a plain gRPC call beside the inbound proxy of a pair.`,
  example: "npm run bench:gateway -- --only calls --rounds 1",
});
const quick = flags.has("quick");
const only = flags.get("only") ?? parts;
const rounds = numberFlag(flags, "rounds", quick ? 1 : 3);
const seconds = numberFlag(flags, "seconds", quick ? 1 : 3);
const shapes = (flags.get("shapes")?.[0] ?? "8x32,64x1").split(",");
const profile = flags.get("profile")?.[0];

await runBench(async (processes, folder) => {
  const identities = writeIdentities(folder);
  const echo = await startEcho(processes);
  const mesh = await startMesh(processes, folder, echo.port, { profile });
  allowGateway(mesh, folder);
  const gateway = await startGateway(processes, mesh, folder, {
    ...{ name: "gateway", identity: identities.server },
    ...(profile !== undefined && { profile }),
  });
  console.log(`${machine()}, ${rounds} rounds of ${seconds} s, load average ${loadavg()[0]?.toFixed(1)}`);
  const loadFlags = ["--tls", "--authority", "localhost"];
  const contenders: Contender[] = [
    { name: "inbound of a pair", port: mesh.port, pids: mesh.pids.slice(0, 1) },
    { name: "gateway", port: gateway.ports[0] ?? 0, pids: [gateway.pid], loadFlags },
  ];
  if (only.includes("calls")) measureCalls(contenders, { rounds, seconds, shapes });
});
