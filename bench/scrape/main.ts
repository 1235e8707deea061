import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { buildSpiffeId } from "../../core/identity.js";
import { createMetrics } from "../../data-plane/status/metrics.js";
import { silentLogger } from "../../runtime/log.js";
import { openStatusServer } from "../../runtime/status-server.js";
import { numberFlag, readFlags } from "../options.js";
import { machine, median, printTable } from "../proxy/contenders.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:scrape -- [--kinds 230] [--rounds 60]
What a scrape of a proxy costs it. The proxy has counted so many kinds of calls in each direction (at most 400), of which
each has some 22 series; another process reads /metrics. Turns of the event loop are told in CPU time, since on a busy
machine the clock says how busy it is.`,
  example: "npm run bench:scrape -- --rounds 5",
});
const kinds = numberFlag(flags, "kinds", 230);
const rounds = numberFlag(flags, "rounds", 60);

const metrics = createMetrics();
for (let kind = 0; kind < kinds; kind++) {
  for (const direction of ["inbound", "outbound"] as const) {
    const named = { caller: buildSpiffeId("bench", "service", `caller-${kind}`), service: "payments", version: "v1" };
    const counted = { tookMs: 3, requestBytes: 64, responseBytes: 64, attempts: 1, isMirrored: false };
    metrics.proxy.callStarted(direction);
    metrics.proxy.callEnded({
      ...{ direction, ...named, method: `shop.Payments/Method${kind % 40}`, code: 0, reason: undefined },
      ...counted,
    });
  }
}
const told = { reasonsNotReady: () => [], problems: () => [], metrics: metrics.render };
const server = await openStatusServer(told, { host: "127.0.0.1", port: 0 }, silentLogger);

/** Starts a process that makes a scrape for each line that it gets, and reports how many lines the scrape had. */
function startReader(url: string): ChildProcess {
  const code = `
    require("node:readline").createInterface({ input: process.stdin }).on("line", async () => {
      const text = await (await fetch(${JSON.stringify(url)})).text();
      console.log(text.split("\\n").length - 1);
    });`;
  return spawn(process.execPath, ["-e", code], { stdio: ["pipe", "pipe", "inherit"] });
}

/** Resolves with the CPU milliseconds of each turn of the event loop until `done` resolves. */
async function turnsUntil(done: Promise<unknown>): Promise<readonly number[]> {
  const turns: number[] = [];
  let last = process.cpuUsage();
  let over = false;
  const tick = (): void => {
    const now = process.cpuUsage();
    turns.push((now.user + now.system - last.user - last.system) / 1000);
    last = now;
    if (!over) setImmediate(tick);
  };
  setImmediate(tick);
  await done;
  over = true;
  return turns;
}

const reader = startReader(`http://127.0.0.1:${server.address.port}/metrics`);
const answers = createInterface({ input: reader.stdout ?? process.stdin });
let lines = 0;
const all: number[] = [];
const longest: number[] = [];
const idleMs = 0.2;
for (let round = -5; round < rounds; round++) {
  const answered = once(answers, "line");
  reader.stdin?.write("\n");
  const turns = await turnsUntil(answered);
  lines = Number((await answered)[0]);
  if (round < 0) continue; // rounds in which V8 compiles
  longest.push(Math.max(...turns));
  all.push(turns.filter((ms) => ms > idleMs).reduce((sum, ms) => sum + ms, 0));
}
reader.stdin?.end();
answers.close();
server.close();
const sorted = [...longest].sort((a, b) => a - b);
console.log(`${machine()}, ${rounds} scrapes of ${lines} lines`);
printTable(
  ["CPU ms of a scrape, median", "of its longest turn, median", "of nine in ten", "of all"],
  [
    [median(all), median(longest), sorted[Math.floor(sorted.length * 0.9)], sorted.at(-1)].map((ms) =>
      (ms ?? 0).toFixed(2),
    ),
  ],
);
