/** Counts how many tries a service gets while it answers half of them UNAVAILABLE and its route retries. */
import { resolve } from "node:path";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { pause } from "../../test/conformance/child.js";
import { activate, type BenchMesh, publish, withMesh } from "../convergence/bench-mesh.js";
import { startLoad } from "../convergence/calls-across.js";
import { printTable } from "../proxy/contenders.js";

const same = (bytes: Buffer): Buffer => bytes;
const path = "/bench.Echo/Call";
const policy = `kind: Service
name: echo
idempotent: [bench.Echo/Call]
---
kind: Service
name: front
---
kind: Authorization
name: calls
service: echo
allow: [{ from: [front], methods: ["bench.Echo/*"] }]
---
kind: Route
name: echo
service: echo
rules: [{ retry: { attempts: 5, on: [UNAVAILABLE], backoff: 1ms, maxBackoff: 2ms } }]
---
kind: Resilience
name: echo
service: echo
outliers: { consecutiveFailures: 0, consecutiveTimeouts: 0 }
`;
/**
 * The budget in docs/policy-route.md: a fifth of the calls, plus ten per second, of which one second's worth can be
 * saved up.
 */
const share = 0.2;
const perSecond = 10;

export async function measureBudget(rates: readonly number[], seconds: number): Promise<void> {
  console.log(`\n### Retries while half of the answers are 14, ${seconds} s each\n`);
  await withMesh((mesh) => measure(mesh, rates, seconds));
}

async function measure({ mesh, admin }: BenchMesh, rates: readonly number[], seconds: number): Promise<void> {
  const tries = { all: 0, failed: 0 };
  const server = new Server();
  const method = { path, requestStream: false, responseStream: false } as const;
  const bytes = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { Call: { ...method, ...bytes } },
    {
      Call: (call: { request: Buffer }, answer: (error: object | null, response?: Buffer) => void) => {
        tries.all += 1;
        if (tries.all % 2 === 0) return answer(null, call.request);
        tries.failed += 1;
        answer({ code: status.UNAVAILABLE, details: "as half of them" });
      },
    },
  );
  const app = resolve(mesh.dir, "app.sock");
  await new Promise<void>((done, failed) => {
    server.bindAsync(`unix:${app}`, ServerCredentials.createInsecure(), (error) => (error ? failed(error) : done()));
  });
  try {
    await mesh.proxy({ name: "echo", service: "echo", app });
    const front = await mesh.proxy({ name: "front", service: "front" });
    await activate(admin, await publish(admin, [{ name: "policy.yaml", content: policy }]));
    await mesh.healthy("echo");
    const rows: string[][] = [];
    for (const rate of rates) {
      const before = { ...tries };
      const startMs = performance.now();
      const load = startLoad(`unix:${front.outbound}`, rate);
      await pause(seconds * 1000);
      const { ok, failed } = await load.end();
      const tookS = (performance.now() - startMs) / 1000;
      const calls = ok + failed;
      const [sent, ill] = [tries.all - before.all, tries.failed - before.failed];
      const most = Math.floor(share * calls + perSecond * (tookS + 1));
      const [retries, ratio] = [sent - calls, (sent / calls).toFixed(3)];
      const isMet = retries <= most;
      if (!isMet) process.exitCode = 1;
      const aim = `≤ ${most}: ${isMet ? "met" : "missed"}`;
      rows.push([rate, calls, `${((100 * ill) / sent).toFixed(1)} %`, retries, ratio, failed, aim].map(String));
    }
    printTable(["calls/s", "calls", "tries that failed", "retries", "tries a call", "calls that failed", "aim"], rows);
  } finally {
    server.forceShutdown();
  }
}
