import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runFleetLoop } from "../../control-plane/fleet/fleet-loop.js";
import { FleetState } from "../../control-plane/fleet/fleet-state.js";
import { runRosterSaver } from "../../control-plane/fleet/roster-file.js";
import { runFreshness } from "../../control-plane/freshness/freshness-loop.js";
import { startNatsServer } from "../../control-plane/nats/nats-server.js";
import type { Ledger } from "../../control-plane/store/ledger.js";
import { digestOf } from "../../core/digest.js";
import type { Signed, Trust } from "../../core/model.js";
import { createSigner } from "../../core/signature.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { connectNats } from "../../runtime/nats.js";
import type { NatsAccount } from "../../runtime/nats-accounts.js";
import { createNatsUserKey } from "../../runtime/nats-user-keys.js";
import { mintUser } from "../../runtime/nats-users.js";
import { StatementReader } from "../../runtime/statement-reader.js";
import { cpuSecondsOf } from "../cpu-time.js";
import { numberFlag, readFlags } from "../options.js";
import type { ProxiesOrder } from "./proxies.js";

const mesh = "bench.mesh";
const everything = { publish: [">"], subscribe: [">"] };
const none = { head: () => undefined, onRecord: () => () => {} };

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2), {
    text: `npm run bench:fleet -- [--proxies 1000] [--seconds 30]
What the convergence ledger and anti-entropy cost a control plane, against a real nats-server and simulated proxies:
bytes and CPU per 1000 proxies.`,
    example: "npm run bench:fleet -- --proxies 100 --seconds 10",
  });
  const count = numberFlag(flags, "proxies", 1000);
  const seconds = numberFlag(flags, "seconds", 30);
  const dir = mkdtempSync(join(tmpdir(), "ashlar-bench-fleet-"));
  const server = await startNatsServer({ dir: join(dir, "nats"), log: silentLogger });
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const signer = createSigner(privateKey);
  const user = createNatsUserKey();
  const [jwt, proxiesJwt] = [
    await mint(server.accounts.mesh, user.publicKey),
    await mint(server.accounts.proxies, user.publicKey),
  ];
  const bus = connectNats({
    servers: [server.url],
    jwt: () => jwt,
    seed: () => user.seed,
    inboxPrefix: "_INBOX_bench",
    name: "bench",
    log: silentLogger,
  });
  await bus.whenConnected();
  const stop = new AbortController();
  const state = new FleetState();
  let trust: Signed<Trust> | undefined;
  const reader = new StatementReader({ mesh, trusting: () => trust, clock: systemClock });
  const fleet = runFleetLoop({ state, bus, clock: systemClock, log: silentLogger, reader });
  const ledger = { revisions: none, activations: none, trust: none } as unknown as Ledger;
  const publish = (to: string, bytes: Uint8Array): void => void bus.publish(to, bytes);
  const loops = [
    runFreshness({ mesh, ledger, signer, publish, clock: systemClock, log: silentLogger }, stop.signal),
    runRosterSaver({ dir, roster: fleet.list, clock: systemClock, log: silentLogger }, stop.signal),
  ];
  const child = spawn(process.execPath, [join(import.meta.dirname, "proxies.js")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const keyPem = String(publicKey.export({ type: "spki", format: "pem" }));
  const order: ProxiesOrder = {
    url: server.url,
    jwt: proxiesJwt,
    seed: user.seed,
    count,
    mesh,
    keyPem,
    kid: signer.kid,
  };
  child.stdin.write(`${JSON.stringify(order)}\n`);
  const ask = async (): Promise<Record<string, number>> => {
    child.stdin.write("?\n");
    return JSON.parse(String((await lines.next()).value)) as Record<string, number>;
  };
  try {
    const started = await lines.next();
    if (started.done) throw new Error("the proxies did not start");
    const { roots } = JSON.parse(String(started.value)) as { readonly roots: readonly string[] };
    trust = trustIn(roots.map((der) => new Uint8Array(Buffer.from(der, "base64"))));
    await measureFleet({ count, seconds, state, natsPid: server.pid ?? 0, proxiesPid: child.pid ?? 0, ask });
  } finally {
    child.stdin.end();
    if (child.exitCode === null) await once(child, "exit");
    stop.abort();
    fleet.close();
    await Promise.all(loops);
    await bus.close();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Returns a trust record with what verifying statements needs. */
function trustIn(x509Roots: readonly Uint8Array[]): Signed<Trust> {
  const empty = { previous: undefined, signingKeys: [], revocations: [], issuers: [], egresses: [] };
  const body = { ...empty, sequence: 1, bundles: [{ trustDomain: mesh, x509Roots }], timeMs: 0 };
  return { body, bytes: new Uint8Array(), digest: digestOf(new Uint8Array()), kid: "" };
}

/** Issues credentials of a user that may do everything in its account. */
const mint = ({ seed, publicKey }: NatsAccount, userPublicKey: string): Promise<string> =>
  mintUser({
    accountSeed: seed,
    accountPublicKey: publicKey,
    userPublicKey,
    name: "bench",
    permissions: everything,
    expiresMs: Date.now() + 3_600_000,
  });

interface Measured {
  readonly count: number;
  readonly seconds: number;
  readonly state: FleetState;
  readonly natsPid: number;
  readonly proxiesPid: number;
  readonly ask: () => Promise<Record<string, number>>;
}

async function measureFleet({ count, seconds, state, natsPid, proxiesPid, ask }: Measured): Promise<void> {
  await systemClock.sleep(5000);
  const measure = async () => ({
    counts: await ask(),
    control: cpuSecondsOf(process.pid),
    nats: cpuSecondsOf(natsPid),
    proxies: cpuSecondsOf(proxiesPid),
    atMs: performance.now(),
  });
  const before = await measure();
  await systemClock.sleep(seconds * 1000);
  const after = await measure();
  const took = (after.atMs - before.atMs) / 1000;
  const perSecond = (name: string): number => ((after.counts[name] ?? 0) - (before.counts[name] ?? 0)) / took;
  const per1000 = (value: number): number => Math.round((value / count) * 1000 * 100) / 100;
  const milliseconds = (name: "control" | "nats" | "proxies"): number =>
    per1000(((after[name] - before[name]) / took) * 1000);
  const rosterMs = timeOf(() => state.list(Date.now()));
  const result = {
    proxies: count,
    seconds: Math.round(took),
    known: state.live(Date.now()).length,
    per1000Proxies: {
      heartbeatsPerSecond: per1000(perSecond("heartbeats")),
      heartbeatBytesPerSecond: Math.round(per1000(perSecond("heartbeatBytes"))),
      statementsPerSecond: per1000(perSecond("statements")),
      statementBytesPerSecond: Math.round(per1000(perSecond("statementBytes"))),
      controlPlaneCpuMsPerSecond: milliseconds("control"),
      natsCpuMsPerSecond: milliseconds("nats"),
      allProxiesCpuMsPerSecond: milliseconds("proxies"),
    },
    rosterListMs: Math.round(rosterMs * 100) / 100,
  };
  console.log(JSON.stringify(result, null, 2));
}

function timeOf(act: () => unknown): number {
  const startMs = performance.now();
  act();
  return performance.now() - startMs;
}

await main();
