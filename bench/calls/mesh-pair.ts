import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { Server as TlsServer } from "node:tls";
import type { Digest } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { compileUnit } from "../../core/policy/compile.js";
import { unitsOf } from "../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import type { AppRegistration, AppView, CallPolicy, EndpointView } from "../../data-plane/ports.js";
import { CallRecorder } from "../../data-plane/proxy/call-recorder.js";
import { createProxyEngine, type ProxyEngine } from "../../data-plane/proxy/forward/proxy-engine.js";
import { upstreamSessionDefaults } from "../../data-plane/proxy/forward/upstream-session.js";
import { Inbound } from "../../data-plane/proxy/inbound.js";
import { Outbound } from "../../data-plane/proxy/outbound.js";
import type { ProxyMetrics } from "../../data-plane/proxy/proxy-metrics.js";
import { Reaches } from "../../data-plane/proxy/reaches.js";
import { Traffic } from "../../data-plane/proxy/service-traffic.js";
import { ShadowTally } from "../../data-plane/proxy/shadow-tally.js";
import type { StreamWaiter } from "../../data-plane/proxy/stream-queue.js";
import type { TlsState } from "../../data-plane/proxy/tls-state.js";
import { UpstreamPool } from "../../data-plane/proxy/upstream-pool.js";
import type { UpstreamTarget } from "../../data-plane/proxy/upstream-target.js";
import { CallWindow, countedTwice } from "../../data-plane/status/call-window.js";
import { createMetrics } from "../../data-plane/status/metrics.js";
import { HeldPolicy } from "../../data-plane/sync/held-revision.js";
import { MemorySocket } from "../../data-plane/warm/memory-socket.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { meshPolicy } from "../proxy/mesh.js";
import { type TelemetryMode, telemetryPolicy, watchFor } from "./telemetry.js";
import { trafficPolicy } from "./traffic.js";

/**
 * "none": without telemetry or traffic features; "off", "on" and the tapped ones: of telemetry; "traffic": all that
 * routes and resilience do; "blind": nothing is counted, recorded or traced, which no setting does.
 */
export type CallsMode = TelemetryMode | "traffic" | "blind";

const policies: Readonly<Record<CallsMode, string>> = {
  none: meshPolicy,
  off: meshPolicy,
  tapped: meshPolicy,
  "tapped-elsewhere": meshPolicy,
  on: `${meshPolicy}${telemetryPolicy}`,
  traffic: trafficPolicy,
  blind: meshPolicy,
};
const mesh = "bench";
const revision = "0".repeat(64) as Digest;
const never = () => () => {};
/** The recorded share of decisions if `--record` is not given. */
const recordShare = 0.01;
const nothing = (): void => {};
const blindMetrics: ProxyMetrics = {
  callStarted: nothing,
  callEnded: nothing,
  connection: nothing,
  judgedAgain: nothing,
  ejected: nothing,
  retried: nothing,
  tooLong: nothing,
  hedged: nothing,
  mirrored: nothing,
  returned: nothing,
  handshakeFailed: nothing,
};

/** A pool whose connections are dialled by whoever created the pool. */
class MemoryPool extends UpstreamPool {
  readonly #dial: () => Socket;

  constructor(engine: ProxyEngine, dial: () => Socket) {
    const bounds = {
      connectionsMaxPerTarget: 16,
      finishingMaxPerTarget: 16,
      narrowMaxPerTarget: 16,
      waitingMaxPerTarget: 1024,
      dialsMax: 16,
    };
    const session = { ...upstreamSessionDefaults, keepaliveMs: 0 };
    super({ random: Math.random, engine }, { ...bounds, redialMsMin: 100, redialMsMax: 5000, session });
    this.#dial = dial;
  }

  override acquire(target: UpstreamTarget, waiter: StreamWaiter): void {
    super.acquire({ key: target.key, dial: async () => this.#dial() }, waiter);
  }
}

/** Makes a TLS server treat an in-memory socket, which has no TLS, as one whose handshake is over. */
function takeMemoryAsTls(): void {
  const emit = TlsServer.prototype.emit as (this: TlsServer, event: string, about: unknown) => boolean;
  TlsServer.prototype.emit = function (this: TlsServer, event: string, about: unknown): boolean {
    const isPastHandshake = event === "connection" && about instanceof MemorySocket;
    return emit.call(this, isPastHandshake ? "secureConnection" : event, about);
  } as typeof TlsServer.prototype.emit;
}

function evaluatedPolicy(mode: CallsMode): HeldPolicy<{
  readonly revision: { readonly digest: Digest; readonly body: { readonly number: number } };
  readonly list: { readonly units: [] };
  readonly units: Map<string, { readonly compiled: ReturnType<typeof compileUnit> }>;
}> {
  const { objects, findings } = parsePolicyFiles([{ name: "policy.yaml", content: policies[mode] }]);
  if (findings.length > 0) throw new Error(JSON.stringify(findings[0]));
  const units = unitsOf(objects.map(({ object }) => object)).map(
    (unit) => [unit.name, { compiled: compileUnit(unit, mesh) }] as const,
  );
  return new HeldPolicy(1, {
    revision: { digest: revision, body: { number: 1 } },
    list: { units: [] },
    units: new Map(units),
  });
}

/** Returns the parts of one proxy, wired the way `app-carrying.ts` and `Carrier` wire them. */
function partsOf(service: string, dial: () => Socket, mode: CallsMode) {
  const engine = createProxyEngine(() => performance.now(), fault);
  const metrics = createMetrics(engine.counters, engine);
  const decisions = { offer: () => true, offerCounts: () => {} };
  const caller = buildSpiffeId(mesh, "service", "front");
  const recorder = new CallRecorder(
    { sink: decisions, random: randomBytes, clock: systemClock },
    buildSpiffeId(mesh, "service", service),
    mode === "blind" ? 0 : recordShare,
  );
  const policy: CallPolicy = {
    current: evaluatedPolicy(mode),
    seenEpoch: 1,
    freshnessAgeMs: 0,
    onSwitch: never,
    useService: async () => true,
    hearOfEpoch: async () => {},
  };
  const proven = () => ({ spiffeId: caller, notAfterMs: Number.POSITIVE_INFINITY });
  const tls = {
    context: () => ({}),
    verify: proven,
    verifyCaller: proven,
  } as unknown as TlsState;
  const pool = new MemoryPool(engine, dial);
  const common = { recorder, tls, policy, pool, engine, clock: systemClock, random: randomBytes, log: silentLogger };
  const counted = mode === "blind" ? blindMetrics : countedTwice(metrics.proxy, new CallWindow(revision));
  const watch = watchFor(mode === "traffic" || mode === "blind" ? "none" : mode, policy, metrics);
  return { ...common, watch, metrics: counted, draw: Math.random, tally: new ShadowTally() };
}

function fault(error: unknown): void {
  console.error(error);
  process.exitCode = 1;
}

export interface Taker {
  take(socket: Socket): void;
}

/** Starts the proxy in front of the server. `dial` connects to the server. */
export function startInbound(dial: () => Socket, mode: CallsMode): Taker {
  takeMemoryAsTls();
  const registration: AppRegistration = { instance: "echo", target: { host: "127.0.0.1", port: 1 } };
  const app: AppView = { current: registration, onChange: never, reportRefused: () => {} };
  return new Inbound({ ...partsOf("echo", dial, mode), app, trust: { issuers: [] } }, { service: "echo" });
}

/** Starts the caller's proxy. `dial` connects to the proxy in front of the server. */
export function startOutbound(dial: () => Socket, mode: CallsMode): Taker {
  const endpoint: Endpoint = {
    proxyId: "p1",
    service: "echo",
    instance: "echo",
    version: "v1",
    address: "127.0.0.1:1",
    labels: [],
    gone: false,
    timeMs: 0,
  };
  const second: Endpoint = { ...endpoint, proxyId: "p2", version: "v2", address: "127.0.0.1:2" };
  const all = mode === "traffic" ? [endpoint, second] : [endpoint];
  const endpoints: EndpointView = { endpoints: () => all, ready: async () => {} };
  const parts = partsOf("front", dial, mode);
  const { engine, metrics, log } = parts;
  const nowMs = () => engine.loop.time();
  const reaches = new Reaches(nowMs);
  const traffic = new Traffic({ proxyId: "p0", labels: [], log, metrics, retries: engine.retries, nowMs, reaches });
  return new Outbound(
    { ...parts, copies: parts.pool, traffic, endpoints },
    { self: buildSpiffeId(mesh, "service", "front"), mesh, service: "echo" },
  );
}
