/** The RSS of an Envoy in place of the caller's proxy: idle with one cluster, and with many known clusters. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { envoy, outboundEnvoy } from "../peers/envoy.js";
import { writeIdentities } from "../proxy/certificates.js";
import { residentMegabytes } from "../proxy/contenders.js";
import { freePort, type Processes, untilListening, versionOf } from "../proxy/pair.js";

/** Returns rows of a description and MB. Empty if Envoy is not found. `settle` resolves when a start is over. */
export async function measureEnvoy(
  processes: Processes,
  folder: string,
  services: number,
  settle: () => Promise<unknown>,
): Promise<string[][]> {
  if (versionOf(envoy.command, envoy.versionArguments)?.includes("version") !== true) {
    console.log("Envoy: not found, left out");
    return [];
  }
  const own = join(folder, "envoy");
  mkdirSync(own);
  const identities = writeIdentities(own);
  const rows: string[][] = [];
  for (const moreServices of [0, services]) {
    const ports = { outbound: await freePort(), inbound: await freePort(), backend: 0 };
    const file = join(own, `services-${moreServices}.json`);
    writeFileSync(file, outboundEnvoy(ports, identities, { moreServices }));
    const child = processes.start(envoy.command, envoy.arguments(file, own));
    await untilListening(ports.outbound, 60_000);
    await settle();
    rows.push([`Envoy, ${1 + moreServices} services known`, "", String(residentMegabytes(child.pid ?? 0))]);
    child.kill("SIGTERM");
  }
  return rows;
}
