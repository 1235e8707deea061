import { join, resolve } from "node:path";
import { pause } from "../../test/conformance/child.js";
import { Mesh, type MeshProxy } from "../../test/conformance/mesh.js";
import { basePolicy } from "../../test/conformance/policy.js";
import { RecordingUpstream } from "../../test/conformance/upstream.js";
import { whenKilled } from "../../test/conformance/when-killed.js";
import { until } from "../../test/support/until.js";
import { numberFlag, readFlags } from "../options.js";
import { HonestAbuse } from "./honest-abuse.js";
import { MixedLoad } from "./mixed-load.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run soak -- --minutes N [--rate CALLS_PER_SECOND] [--growth 0.1] [--abuse] [--root DIR]
Steady mixed load through two real proxies. Prints memory, open streams and files each minute; exit 1 if a
call fails, memory grows more than 10 % after the warm-up, or streams or files are left over. With --abuse beside it, on
the same connections: missed deadlines, cancels, one-byte frames, pings of grpc-go (where go is found), long trailers,
malformed answers, dying applications; the calls that must not fail are then those of bystanders.`,
  example: "npm run soak -- --minutes 1",
});
const minutes = numberFlag(flags, "minutes", 60);
const rate = numberFlag(flags, "rate", 400);
const growthMax = numberFlag(flags, "growth", 0.1);
const abuse = flags.has("abuse");
const root = resolve(flags.get("root")?.[0] ?? join(import.meta.dirname, "../../.."));

interface Sample {
  readonly rssBytes: number;
  readonly openStreams: number;
  readonly openFiles: number;
}

const mesh = new Mesh(root);
const upstream = new RecordingUpstream();
const trouble = new HonestAbuse(mesh);

async function sampleOf(proxy: MeshProxy): Promise<Sample> {
  const metrics = await proxy.metrics();
  const open = [...metrics].filter(([name]) => name.startsWith("ashlar_open_streams"));
  return {
    rssBytes: proxy.child.rssBytes,
    openStreams: open.reduce((sum, [, value]) => sum + value, 0),
    openFiles: proxy.child.openFiles,
  };
}

/** Returns the least of several readings, which is what the proxy holds without momentary garbage. */
async function settled(proxy: MeshProxy): Promise<Sample> {
  const samples: Sample[] = [];
  for (let reading = 0; reading < 10; reading++) {
    samples.push(await sampleOf(proxy));
    await pause(500);
  }
  const least = (read: (one: Sample) => number) => Math.min(...samples.map(read));
  return {
    rssBytes: least((one) => one.rssBytes),
    openStreams: least((one) => one.openStreams),
    openFiles: least((one) => one.openFiles),
  };
}

/** Returns the connections that proxies ended, or that ended with an error. */
async function endings(proxies: readonly MeshProxy[]): Promise<string[]> {
  const told: string[] = [];
  for (const proxy of proxies) {
    for (const [name, count] of await proxy.metrics()) {
      if (name.startsWith("ashlar_connections_ended_total")) told.push(`${proxy.name}: ${count} x ${name}`);
    }
  }
  return told;
}

const mebibytes = (bytes: number): string => (bytes / (1 << 20)).toFixed(1);

async function soak(): Promise<string[]> {
  await mesh.start();
  await upstream.listen(join(mesh.dir, "app.sock"));
  const [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", app: join(mesh.dir, "app.sock") }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  if (abuse) await trouble.prepare();
  await mesh.apply(basePolicy);
  await mesh.healthy("echo");
  const load = new MixedLoad(front.outbound, rate);
  await until("the first calls are served", () => load.done > 100);
  if (abuse) await trouble.start(front);
  console.log("minute | calls | failed | echo RSS MiB, streams, files | front RSS MiB, streams, files");
  const problems: string[] = [];
  const proxies = [echo, front];
  const first = new Map<MeshProxy, Sample>();
  for (let minute = 1; minute <= minutes; minute++) {
    await pause(55_000);
    upstream.forget();
    for (const { name, child } of proxies) {
      if (!child.isRunning) throw new Error(`proxy ${name} is gone: ${child.errors.slice(-800)}`);
    }
    const samples = await Promise.all(proxies.map(settled));
    const told = samples.map((one) => `${mebibytes(one.rssBytes)}, ${one.openStreams}, ${one.openFiles}`);
    console.log(`${minute} | ${load.done} | ${load.failures.size} | ${told.join(" | ")}`);
    proxies.forEach((proxy, place) => {
      const sample = samples[place];
      const before = first.get(proxy);
      if (sample === undefined) return;
      if (before === undefined) {
        // The heap of a young process still finds its size: the warm-up is the first tenth, a minute at least.
        if (minute >= Math.max(1, minutes / 10)) first.set(proxy, sample);
        return;
      }
      const grew = sample.rssBytes / before.rssBytes - 1;
      if (minute === minutes && grew > growthMax) {
        problems.push(`${proxy.name} grew by ${(grew * 100).toFixed(1)} % after the warm-up`);
      }
      if (sample.openFiles > before.openFiles + 20) problems.push(`${proxy.name} has ${sample.openFiles} open files`);
    });
  }
  await load.stop();
  const bystanders = [...load.failures.values()].reduce((sum, count) => sum + count, 0);
  if (abuse) {
    await trouble.stop();
    console.log(`${load.done} calls of bystanders, ${bystanders} failed; ${trouble.goCalls} calls of grpc-go`);
    problems.push(...(await endings([...proxies, ...trouble.proxies])));
    for (const [what, count] of trouble.wrong) problems.push(`${count} x ${what}`);
  }
  await pause(1500);
  for (const proxy of proxies) {
    const { openStreams } = await sampleOf(proxy);
    if (openStreams > 0) problems.push(`${proxy.name} has ${openStreams} streams left`);
  }
  for (const [failure, count] of load.failures) problems.push(`${count} calls failed: ${failure}`);
  return problems;
}

async function stop(): Promise<void> {
  trouble.close();
  await mesh.stop();
  upstream.close();
}

whenKilled({ end: stop, endNow: () => trouble.close() });
let code = 1;
try {
  const problems = await soak();
  for (const problem of problems) console.log(`FAIL: ${problem}`);
  if (problems.length === 0) console.log("PASS");
  code = problems.length === 0 ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  await stop();
}
process.exit(code);
