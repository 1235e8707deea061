/** Client → outbound proxy → mutual TLS → inbound proxy → server, on real sockets. Tests set the ports directly. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Server } from "@grpc/grpc-js";
import type { DecisionRecord, RefusalCount } from "../../core/decision/decision-record.js";
import type { Label } from "../../core/model.js";
import { parseDecisionBytes } from "../../core/wire/decisions.js";
import type { AppRegistration, ProxyIdentity } from "../../data-plane/ports.js";
import { CallRecorder } from "../../data-plane/proxy/call-recorder.js";
import type { CallSideDeps } from "../../data-plane/proxy/call-side.js";
import type { DecisionSink } from "../../data-plane/proxy/decision-sink.js";
import { inboundLimits } from "../../data-plane/proxy/forward/listener-limits.js";
import {
  createProxyEngine,
  type ProxyEngine,
  type ProxyEngineOptions,
  proxyEngineDefaults,
} from "../../data-plane/proxy/forward/proxy-engine.js";
import { upstreamSessionDefaults } from "../../data-plane/proxy/forward/upstream-session.js";
import { Inbound, type Journaling, type Reading } from "../../data-plane/proxy/inbound.js";
import { Outbound } from "../../data-plane/proxy/outbound.js";
import { Reaches } from "../../data-plane/proxy/reaches.js";
import { Traffic } from "../../data-plane/proxy/service-traffic.js";
import { ShadowTally } from "../../data-plane/proxy/shadow-tally.js";
import { TlsState } from "../../data-plane/proxy/tls-state.js";
import { UpstreamPool } from "../../data-plane/proxy/upstream-pool.js";
import type { UpstreamPoolOptions } from "../../data-plane/proxy/upstream-target.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { ByteClient, type ByteHandlers, startByteServer } from "./byte-service.js";
import {
  buildPolicy,
  everyone,
  FakeApp,
  FakeEndpoints,
  FakeIdentity,
  FakePolicy,
  FakeTrust,
  issueIdentity,
  mesh,
} from "./proxy-fakes.js";
import { RecordedMetrics } from "./recorded-metrics.js";
import { TestPki } from "./test-pki.js";

export const poolOptions: UpstreamPoolOptions = {
  connectionsMaxPerTarget: 8,
  narrowMaxPerTarget: 32,
  finishingMaxPerTarget: 100,
  waitingMaxPerTarget: 1024,
  dialsMax: 16,
  redialMsMin: 50,
  redialMsMax: 1000,
  session: { ...upstreamSessionDefaults, keepaliveMs: 1000, keepaliveTimeoutMs: 1000 },
};

export class KeptDecisions implements DecisionSink {
  readonly decisions: DecisionRecord[] = [];
  readonly counts: RefusalCount[] = [];

  offer(decision: Uint8Array): boolean {
    this.decisions.push(parseDecisionBytes(decision));
    return true;
  }

  offerCounts(counts: readonly RefusalCount[]): void {
    this.counts.push(...counts);
  }
}

/** One proxy of the pair: its identity, its views and its listeners. */
export class TestSide {
  readonly identity: FakeIdentity;
  readonly trust: FakeTrust;
  readonly policy = new FakePolicy();
  readonly endpoints = new FakeEndpoints();
  readonly app = new FakeApp();
  readonly metrics = new RecordedMetrics();
  /** The version of the proxy's own service. */
  version = "v1";
  labels: readonly Label[] = [];
  readonly faults: unknown[] = [];
  readonly heap = { usedBytes: 1, limitBytes: 100 };
  readonly engine: ProxyEngine;
  /** The connections to peers and to the own application. */
  readonly pool: UpstreamPool;
  readonly applications: UpstreamPool;
  /** The connections to peers for copies of calls. */
  readonly copies: UpstreamPool;
  readonly tls: TlsState;
  readonly decisions = new KeptDecisions();
  readonly tally = new ShadowTally();
  /** Records every call. */
  readonly recorder: CallRecorder;
  /** The clock for its deadlines. Tests may stop it or set it ahead. */
  nowMs: () => number = () => systemClock.monotonicMs();
  /** Returns a number that is uniform in [0, 1). */
  draw: () => number = Math.random;
  /** Called for each call that begins from now on, on both sides. */
  observe: CallSideDeps["observe"];
  gate: CallSideDeps["gate"];
  watch: CallSideDeps["watch"];
  journal: Journaling | undefined;
  reads: Reading | undefined;
  /** Where the event feed is served. */
  feed: AppRegistration | undefined;
  readonly #closers: (() => void)[] = [];

  constructor(identity: ProxyIdentity, rootPem: string, options: Partial<ProxyEngineOptions> = {}) {
    this.engine = createProxyEngine(
      () => this.nowMs(),
      (error) => this.faults.push(error),
      { ...proxyEngineDefaults, ...options },
      () => this.heap,
    );
    const pooled = { random: Math.random, engine: this.engine };
    this.pool = new UpstreamPool(pooled, poolOptions);
    this.copies = new UpstreamPool(pooled, poolOptions);
    this.applications = new UpstreamPool(pooled, {
      ...poolOptions,
      session: { ...poolOptions.session, toProxy: false },
    });
    this.identity = new FakeIdentity(identity);
    this.trust = new FakeTrust([rootPem]);
    this.recorder = new CallRecorder(
      { sink: this.decisions, random: randomBytes, clock: systemClock },
      identity.spiffeId,
      1,
    );
    this.tls = new TlsState({ identity: this.identity, trust: this.trust, clock: systemClock });
  }

  deps() {
    const { engine, tls, trust, policy, app, endpoints, pool, copies, metrics } = this;
    const { recorder, tally } = this;
    const common = {
      recorder,
      tally,
      clock: systemClock,
      random: randomBytes,
      draw: () => this.draw(),
      log: silentLogger,
    };
    const seams: Pick<CallSideDeps, "observe" | "gate" | "watch"> = {
      watch: {
        begun: (call, fields, traceparent) => this.watch?.begun(call, fields, traceparent) ?? false,
        ended: (call) => this.watch?.ended(call),
      },
      observe: (call) => this.observe?.(call),
      gate: (call) => this.gate?.(call),
    };
    const { proxyId } = this.identity.current;
    const traffic = new Traffic({
      ...{ proxyId, labels: this.labels, log: silentLogger, retries: engine.retries, metrics },
      nowMs: () => engine.loop.time(),
      reaches: new Reaches(() => systemClock.monotonicMs()),
    });
    return { engine, tls, trust, policy, app, endpoints, pool, copies, metrics, traffic, ...common, ...seams };
  }

  async inbound(limits = inboundLimits): Promise<{ inbound: Inbound; address: string }> {
    const feedOf = (): AppRegistration | undefined => this.feed;
    const readsOf = (): Reading | undefined => this.reads;
    const inbound = new Inbound(
      {
        ...this.deps(),
        get feed() {
          return feedOf();
        },
        get reads() {
          return readsOf();
        },
        pool: this.applications,
        journal: { gateFor: (call, plan, acquire) => journalOf(this).gateFor(call, plan, acquire) },
      },
      { service: this.identity.current.service, version: this.version, limits },
    );
    this.#closers.push(() => inbound.close());
    const { host, port } = await inbound.listen({ host: "127.0.0.1", port: 0 });
    return { inbound, address: `${host}:${port}` };
  }

  async outbound(path: string, service?: string, labels: readonly Label[] = []): Promise<Outbound> {
    const outbound = new Outbound(this.deps(), { self: this.identity.current.spiffeId, mesh, service, labels });
    this.#closers.push(() => outbound.close());
    await outbound.listen({ path });
    return outbound;
  }

  close(): void {
    for (const close of this.#closers) close();
    this.recorder.close();
    this.pool.close();
    this.applications.close();
    this.copies.close();
    this.engine.stop();
  }
}

function journalOf({ journal }: TestSide): Journaling {
  if (journal === undefined) throw new Error("this side has no journal");
  return journal;
}

export class ProxyPair {
  readonly pki: TestPki;
  readonly dir: string;
  readonly caller: TestSide;
  readonly callee: TestSide;
  inbound!: Inbound;
  outbound!: Outbound;
  address = "";
  readonly #servers: Server[] = [];
  readonly #clients: ByteClient[] = [];

  private constructor(pki: TestPki, caller: TestSide, callee: TestSide) {
    this.pki = pki;
    this.caller = caller;
    this.callee = callee;
    this.dir = mkdtempSync(join(tmpdir(), "pair-"));
  }

  /** Starts a pair in which "shop" calls "bytes". Everybody may call until the policy is switched. */
  static async start(
    handlers: ByteHandlers,
    options: Partial<ProxyEngineOptions> = {},
    callee: Partial<ProxyEngineOptions> = options,
  ): Promise<ProxyPair> {
    const pki = new TestPki(mesh);
    const pair = new ProxyPair(
      pki,
      new TestSide(issueIdentity(pki, "shop"), pki.rootPem, options),
      new TestSide(issueIdentity(pki, "bytes"), pki.rootPem, callee),
    );
    const { inbound, address } = await pair.callee.inbound();
    pair.inbound = inbound;
    pair.address = address;
    pair.outbound = await pair.caller.outbound(join(pair.dir, "out.sock"));
    for (const side of [pair.caller, pair.callee]) {
      side.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
    }
    pair.caller.endpoints.add("bytes", address);
    await pair.startServer(handlers);
    return pair;
  }

  async startServer(handlers: ByteHandlers): Promise<Server> {
    const path = join(this.dir, `app-${this.#servers.length}.sock`);
    const { server } = await startByteServer(`unix:${path}`, handlers);
    this.#servers.push(server);
    this.callee.app.set({ instance: `app-${this.#servers.length}`, target: { path } });
    return server;
  }

  client(authority = "bytes"): ByteClient {
    return this.clientAt(join(this.dir, "out.sock"), authority);
  }

  /** A client of another listener of the caller's. */
  clientAt(path: string, authority = "bytes"): ByteClient {
    const client = new ByteClient(`unix:${path}`, authority);
    this.#clients.push(client);
    return client;
  }

  stop(): void {
    for (const client of this.#clients) client.close();
    this.caller.close();
    this.callee.close();
    for (const server of this.#servers) server.forceShutdown();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Polls until `condition` holds; fails after `timeoutMs`. */
export async function eventually(what: string, condition: () => boolean, timeoutMs = 30_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
