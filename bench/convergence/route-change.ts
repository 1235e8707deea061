/**
 * How a caller sees a change of a route, here and with Envoy: the time from asking for the change until the first
 * answer that shows it, and the calls that fail during such changes. Envoy reads its routes from a file that it
 * watches.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials, type Metadata } from "@grpc/grpc-js";
import type { PolicyFile } from "../../core/model.js";
import { pause } from "../../test/conformance/child.js";
import { envoy, outboundEnvoy } from "../peers/envoy.js";
import { mark, putRoutes } from "../peers/envoy-config.js";
import { writeIdentities } from "../proxy/certificates.js";
import { printTable } from "../proxy/contenders.js";
import { meshPolicy } from "../proxy/mesh.js";
import { freePort, type Processes, startEcho, startPair, versionOf } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";
import { activate, publish, withMesh } from "./bench-mesh.js";
import { startLoad } from "./calls-across.js";
import { highest, median, quantile, render } from "./figures.js";

export interface RouteChangeOptions {
  /** How many changes are timed. */
  readonly rounds: number;
  /** How many changes are made under load. Below: the calls per second of that load. */
  readonly changes: number;
  readonly rate: number;
}

/** Where calls go in, and a function that makes a change whose mark the answers then carry. */
interface Changed {
  readonly name: string;
  readonly target: string;
  change(marked: number): void | Promise<void>;
}

const warmCalls = 500;
const loadStartsMs = 2000;
/** The least time between changes under load in milliseconds, so that calls fall into each. */
const changeEveryMs = 50;

export async function measureRouteChanges(options: RouteChangeOptions): Promise<void> {
  console.log(
    `\n### A route's change, seen by a caller: ${options.rounds} times, then ${options.changes} under load\n`,
  );
  const rows: string[][] = [];
  await runBench(async (processes, folder) => {
    const echo = await startEcho(processes);
    await withMesh(async ({ mesh, admin }) => {
      await mesh.proxy({ name: "echo", service: "echo", flags: ["--app", `127.0.0.1:${echo.port}`] });
      const { outbound } = await mesh.proxy({ name: "front", service: "front" });
      await activate(admin, await publish(admin, [policyWith(0)]));
      await mesh.healthy("echo");
      const target = `unix:${outbound}`;
      // Two revisions that are there already, as in a switch to and fro: a publish is not part of a change that is
      // rolled back.
      const revisions = [await publish(admin, [policyWith(0)]), await publish(admin, [policyWith(1)])];
      const change = async (marked: number) => void (await activate(admin, revisions[marked % 2] ?? 0));
      rows.push(await measure({ name: "mesh", target, change }, options));
    });
    const envoys = await startEnvoys(processes, folder, echo.port);
    if (envoys !== undefined) rows.push(await measure(envoys, options));
  });
  printTable(["who", "first answer that shows it, ms: median, p99, max", "changes", "calls", "failed"], rows);
}

function policyWith(marked: number): PolicyFile {
  const rule = `    headers:\n      response:\n        set: { ${mark}: "${marked}" }\n`;
  return { name: "policy.yaml", content: meshPolicy + rule };
}

async function startEnvoys(processes: Processes, folder: string, backend: number): Promise<Changed | undefined> {
  if (versionOf(envoy.command, envoy.versionArguments)?.includes("version") !== true) {
    console.log("Envoy: not found, left out");
    return undefined;
  }
  const routesFolder = join(folder, "routes");
  mkdirSync(routesFolder);
  putRoutes(routesFolder, 0);
  const ports = { outbound: await freePort(), inbound: await freePort(), backend };
  const outbound: typeof envoy.outbound = (own, identities) => outboundEnvoy(own, identities, { routesFolder });
  await startPair(processes, { ...envoy, outbound }, ports, writeIdentities(folder), folder);
  const change = (marked: number) => putRoutes(routesFolder, marked % 2);
  return { name: "Envoy", target: `127.0.0.1:${ports.outbound}`, change };
}

async function measure({ name, target, change }: Changed, options: RouteChangeOptions): Promise<string[]> {
  const caller = new MarkReader(target);
  for (let call = 0; call < warmCalls; call++) await caller.read();
  const tookMs: number[] = [];
  let turn = 1;
  const changeAndSee = async (): Promise<number> => {
    const startMs = performance.now();
    const seen = caller.until(String(turn % 2));
    await change(turn++);
    return (await seen) - startMs;
  };
  for (let round = 0; round < options.rounds; round++) tookMs.push(await changeAndSee());
  const load = startLoad(target, options.rate);
  await pause(loadStartsMs);
  for (let count = 0; count < options.changes; count++) await Promise.all([changeAndSee(), pause(changeEveryMs)]);
  const { ok, failed, faults } = await load.end();
  caller.close();
  if (failed > 0) console.log(`${name}: failed: ${JSON.stringify(faults)}`);
  const figures = [median(tookMs), quantile(tookMs, 0.99), highest(tookMs)].map(render).join(", ");
  return [name, figures, String(options.changes), String(ok + failed), String(failed)];
}

/** A caller that makes one call after another and reads the mark of each answer. */
class MarkReader {
  readonly #client: Client;

  constructor(target: string) {
    this.#client = new Client(target, credentials.createInsecure(), { "grpc.default_authority": "echo" });
  }

  /** Resolves to the mark of one answer. Rejects with the call's error. */
  read(): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      let marked: string | undefined;
      const asIs = (bytes: Buffer) => bytes;
      const call = this.#client.makeUnaryRequest("/bench.Echo/Call", asIs, asIs, Buffer.alloc(8), (error) => {
        if (error === null) resolve(marked);
        else reject(error);
      });
      call.on("metadata", (metadata: Metadata) => {
        marked = metadata.get(mark)[0]?.toString();
      });
    });
  }

  /** Resolves with the time (performance.now()) at which an answer first had this mark. */
  async until(wanted: string): Promise<number> {
    while ((await this.read()) !== wanted);
    return performance.now();
  }

  close(): void {
    this.#client.close();
  }
}
