/** The RSS of one process with one service and with many, and so the memory of each further service. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { residentMegabytes } from "../proxy/contenders.js";
import type { BenchMesh } from "../proxy/mesh.js";
import type { Processes } from "../proxy/pair.js";

const cli = resolve(import.meta.dirname, "../../cli/main.js");

/** Returns rows of a description and MB. `settle` resolves when a change has taken effect. */
export async function measureSeveral(
  processes: Processes,
  mesh: BenchMesh,
  folder: string,
  services: number,
  settle: () => Promise<unknown>,
): Promise<readonly (readonly [string, string])[]> {
  const data = join(folder, "host");
  const joinFile = join(folder, "up/join.json");
  mkdirSync(data, { mode: 0o700 });
  const list = join(folder, "services.yaml");
  writeFileSync(list, "[]\n");
  const host = processes.start(process.execPath, [
    cli,
    "proxy",
    "--services",
    list,
    "--data",
    data,
    "--join",
    joinFile,
  ]);
  while (!existsSync(join(data, "run/control.sock"))) await pause(100);
  const add = (index: number): void => {
    const token = join(folder, `host-${index}.token`);
    writeFileSync(token, mesh.run("token", "--service", `host-${index}`, "--version", "v1"));
    const args = [cli, "proxy", "add", "--data", data, "--service", `host-${index}`, "--token", token, "--agent"];
    execFileSync(process.execPath, [...args, "--inbound", "127.0.0.1:0"]);
  };
  add(0);
  await settle();
  const one = residentMegabytes(host.pid ?? 0);
  for (let index = 1; index < services; index++) add(index);
  await settle();
  const all = residentMegabytes(host.pid ?? 0);
  return [
    ["one process, 1 service", String(one)],
    [`one process, ${services} services`, String(all)],
    ["each further service", ((all - one) / (services - 1)).toFixed(1)],
  ];
}
