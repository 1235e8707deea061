import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials, status } from "@grpc/grpc-js";
import { numberFlag, readFlags } from "../options.js";
import { machine, printTable, residentMegabytes } from "../proxy/contenders.js";
import { type BenchMesh, meshPolicy, startMesh } from "../proxy/mesh.js";
import { startEcho } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";
import { measureEnvoy } from "./envoy.js";
import { measureSeveral } from "./several.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:memory -- [--services 10000] [--used 20] [--settle 15] [--several N]
RSS of the proxies of a mesh (P9): at rest with three services, then with many that are known and some in use;
Envoy beside it where it is found. With
--several instead: of one process that stands beside N services.`,
  example: "npm run bench:memory -- --services 1000 --settle 5",
});
const services = numberFlag(flags, "services", 10_000);
const used = numberFlag(flags, "used", 20);
const settleSeconds = numberFlag(flags, "settle", 15);

const several = numberFlag(flags, "several", 0);

const servicesAFile = 2000;

const settle = () => new Promise((wait) => setTimeout(wait, settleSeconds * 1000));

/** Writes files of services that nobody serves, each with a rule of its own. */
function writeManyServices(folder: string): void {
  mkdirSync(folder);
  writeFileSync(join(folder, "mesh.yaml"), meshPolicy);
  for (let from = 0; from < services; from += servicesAFile) {
    const documents: string[] = [];
    for (let service = from; service < Math.min(services, from + servicesAFile); service++) {
      const name = `service-${service}`;
      documents.push(`kind: Service\nname: ${name}\nmethods: [bench.Echo/Call]\n`);
      const rule = "allow:\n  - from: [front]\n    methods: [bench.Echo/Call]\n";
      documents.push(`kind: Authorization\nname: ${name}-calls\nservice: ${name}\n${rule}`);
    }
    writeFileSync(join(folder, `services-${from}.yaml`), documents.join("---\n"));
  }
}

/**
 * Calls `count` services, so that their policy is fetched and compiled and their endpoints are followed. Nobody
 * answers.
 */
async function use({ outboundSocket }: BenchMesh, count: number): Promise<void> {
  for (let service = 0; service < count; service++) {
    const client = new Client(`unix:${outboundSocket}`, credentials.createInsecure(), {
      "grpc.default_authority": `service-${service}`,
    });
    const asIs = (bytes: Buffer) => bytes;
    const code = await new Promise<number | undefined>((resolve) => {
      client.makeUnaryRequest("/bench.Echo/Call", asIs, asIs, Buffer.alloc(0), (error) => resolve(error?.code));
    });
    client.close();
    if (code !== status.UNAVAILABLE) throw new Error(`service-${service} answered ${code}`);
  }
}

await runBench(async (processes, folder) => {
  const echo = await startEcho(processes);
  const mesh = await startMesh(processes, folder, echo.port);
  const rows: string[][] = [];
  const measure = (what: string) => {
    const [inbound = 0, outbound = 0] = mesh.pids.map(residentMegabytes);
    rows.push([what, String(inbound), String(outbound)]);
  };
  if (several > 1) {
    const memory = await measureSeveral(processes, mesh, folder, several, settle);
    console.log(`\n${machine()}, RSS in MB ${settleSeconds} s after each step`);
    return printTable(["state", "MB"], memory);
  }
  await settle();
  measure("at rest, 3 services known");
  const many = join(folder, "many");
  writeManyServices(many);
  mesh.run("apply", "-f", many, "--wait", "--timeout", "60s");
  await settle();
  measure(`${services} services known`);
  await use(mesh, used);
  await settle();
  measure(`and ${used} in use`);
  rows.push(...(await measureEnvoy(processes, folder, services, settle)));
  console.log(`\n${machine()}, RSS in MB ${settleSeconds} s after each step`);
  printTable(["state", "inbound", "outbound"], rows);
});
