/**
 * Measures how long a stopped instance (SIGSTOP) still gets calls, and when the control plane shows that it is down.
 */
import { resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { Child, pause } from "../../test/conformance/child.js";
import { activate, type BenchMesh, publish, withMesh } from "../convergence/bench-mesh.js";
import { printRow, printTable } from "../proxy/contenders.js";

const root = resolve(import.meta.dirname, "../../..");
const same = (bytes: Buffer): Buffer => bytes;
const none = Buffer.alloc(0);
const lanes = 4;
const quietMs = 4000;
const healthyMsMax = 60_000;

interface Way {
  readonly name: string;
  readonly resilience: string;
  /** Whether the applications answer grpc.health.v1. */
  readonly health: boolean;
  /** Whether the applications use the SDK. */
  readonly sdk: boolean;
  readonly deadlineMs: number;
  /** The bound that the documentation states, in milliseconds. */
  readonly boundMs: number;
  /** Whether the instance's proxy notices it too, so that `services` shows it. */
  readonly isShown: boolean;
}

const off = "outliers: { consecutiveFailures: 0, consecutiveTimeouts: 0 }";
const [name, service] = ["name: echo", "service: echo"];
/**
 * The ways to notice it. A probe or silence is noticed within its interval, and the news travels within half a second.
 */
const ways: readonly Way[] = [
  {
    name: "without policy: three calls of 1 s without an answer",
    ...{ resilience: "", health: false, sdk: false, deadlineMs: 1000, boundMs: 4000, isShown: false },
  },
  {
    name: "two calls of 300 ms (consecutiveTimeouts: 2)",
    resilience: "outliers: { consecutiveTimeouts: 2 }",
    ...{ health: false, sdk: false, deadlineMs: 300, boundMs: 1000, isShown: false },
  },
  {
    name: "grpc.health.v1, defaults, outliers off",
    ...{ resilience: off, health: true, sdk: false, deadlineMs: 500, boundMs: 7000, isShown: true },
  },
  {
    name: "grpc.health.v1 every second, twice, outliers off",
    resilience: `${off}\nhealth: { grpc: "", interval: 1s, timeout: 500ms, unhealthyAfter: 2 }`,
    ...{ health: true, sdk: false, deadlineMs: 500, boundMs: 3000, isShown: true },
  },
  {
    name: "SDK application, outliers off",
    ...{ resilience: off, health: false, sdk: true, deadlineMs: 500, boundMs: 17_000, isShown: true },
  },
];

function policyOf({ resilience }: Way): string {
  const more = resilience === "" ? "" : `---\nkind: Resilience\n${name}\n${service}\n${resilience}\n`;
  return `kind: Service\n${name}\n---\nkind: Service\nname: front\n---
kind: Authorization\nname: calls\n${service}\nallow: [{ from: [front], methods: ["*"] }]\n${more}`;
}

export async function measureEjection(rounds: number): Promise<void> {
  console.log("\n### A stopped instance of two: until its last call, and until `services` shows it\n");
  printTable(["what finds it", "calls lost, each round", "last call to it after ms", "shown after ms", "aim"], []);
  for (const way of ways) await withMesh(async (mesh) => printRow(await measure(mesh, way, rounds)));
}

/** Two applications, one of which hangs when it is told to, and a caller. */
class Pair {
  readonly #apps: Child[] = [];
  readonly #bench: BenchMesh;
  readonly #way: Way;
  client: Client | undefined;

  constructor(bench: BenchMesh, way: Way) {
    this.#bench = bench;
    this.#way = way;
  }

  async start(): Promise<void> {
    const { mesh, admin } = this.#bench;
    await activate(admin, await publish(admin, [{ name: "policy.yaml", content: policyOf(this.#way) }]));
    for (const index of [1, 2]) await this.#startInstance(index);
    const front = await mesh.proxy({ name: "front", service: "front" });
    this.client = new Client(`unix:${front.outbound}`, credentials.createInsecure(), {
      "grpc.default_authority": "echo",
    });
  }

  async #startInstance(index: number): Promise<void> {
    const { mesh } = this.#bench;
    const { sdk, health } = this.#way;
    const socket = `${mesh.dir}/app-${index}.sock`;
    const agent = `unix:${mesh.dir}/agent-${index}.sock`;
    await mesh.proxy({
      ...{ name: `echo-${index}`, service: "echo", flags: sdk ? ["--agent", agent] : [] },
      ...(sdk ? {} : { app: socket }),
    });
    const where = sdk ? ["--agent", agent, "--service", "echo"] : ["--listen", `unix:${socket}`];
    const args = [`${root}/test/support/echo-app.mjs`, "--version", `v${index}`, ...where];
    const child = new Child(`app ${index}`, [...args, ...(health ? ["--health"] : [])]);
    this.#apps.push(child);
    await child.said("ready");
  }

  signal(name: NodeJS.Signals): void {
    this.#apps[0]?.signal(name);
  }

  async stop(): Promise<void> {
    this.client?.close();
    for (const app of this.#apps) {
      app.signal("SIGCONT");
      await app.stop();
    }
  }

  /** Resolves with the milliseconds until the control plane sees `count` healthy instances, or with `mostMs`. */
  async untilHealthy(count: number, mostMs: number): Promise<number> {
    const startMs = performance.now();
    const healthy = async (): Promise<number> => {
      const { services } = await this.#bench.admin.listServices({});
      return services.find((one) => one.name === "echo")?.endpoints.filter((one) => one.healthy).length ?? 0;
    };
    while ((await healthy()) !== count && performance.now() - startMs < mostMs) await pause(50);
    return performance.now() - startMs;
  }

  /** Resolves with the version that answered, or "" if none did within the deadline. */
  call(deadlineMs: number): Promise<string> {
    const options = { deadline: Date.now() + deadlineMs };
    return new Promise((resolve) => {
      this.client?.makeUnaryRequest("/test.Echo/Unary", same, same, none, options, (error, answer) =>
        resolve(error === null ? (/v[12]/.exec(answer?.toString("latin1") ?? "")?.[0] ?? "") : ""),
      );
    });
  }
}

interface Round {
  readonly lost: number;
  readonly lastMs: number;
  readonly shownMs: number;
}

async function hang(pair: Pair, { name, deadlineMs, boundMs, isShown }: Way): Promise<Round> {
  if ((await pair.untilHealthy(2, healthyMsMax)) >= healthyMsMax)
    throw new Error(`not both instances are healthy: ${name}`);
  const versions = new Set<string>();
  for (let calls = 0; versions.size < 2 && calls < 2000; calls += 1) versions.add(await pair.call(5000));
  if (versions.size < 2) throw new Error(`one instance alone gets all calls: ${name}`);
  pair.signal("SIGSTOP");
  const startMs = performance.now();
  const sinceMs = (): number => performance.now() - startMs;
  const shown = isShown ? pair.untilHealthy(1, boundMs * 3) : Promise.resolve(Number.NaN);
  let [lost, lastMs] = [0, 0];
  const lane = async (): Promise<void> => {
    // until nothing was lost for a while, or it is clear that the bound is missed
    while (sinceMs() < Math.min(2 * boundMs, Math.max(boundMs, lastMs + deadlineMs)) + quietMs) {
      const sentMs = sinceMs();
      if ((await pair.call(deadlineMs)) === "") [lost, lastMs] = [lost + 1, Math.max(lastMs, sentMs)];
      else await pause(5);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const shownMs = await shown;
  pair.signal("SIGCONT");
  await pause(quietMs);
  return { lost, lastMs, shownMs };
}

async function measure(bench: BenchMesh, way: Way, count: number): Promise<string[]> {
  const pair = new Pair(bench, way);
  const rounds: Round[] = [];
  try {
    await pair.start();
    for (let round = 0; round < count; round += 1) rounds.push(await hang(pair, way));
  } finally {
    await pair.stop();
  }
  const isMet = rounds.every(({ lastMs }) => lastMs <= way.boundMs);
  if (!isMet) process.exitCode = 1;
  const column = (pick: (round: Round) => number): string =>
    rounds.map((round) => (Number.isNaN(pick(round)) ? "-" : pick(round).toFixed(0))).join(", ");
  return [
    way.name,
    ...[column(({ lost }) => lost), column(({ lastMs }) => lastMs), column(({ shownMs }) => shownMs)],
    `≤ ${way.boundMs}: ${isMet ? "met" : "missed"}`,
  ];
}
