/**
 * What the console costs a control plane: its own parts (heartbeats, orders to tell of calls, traffic of the last seconds,
 * the console's server) in this process, over a bus in memory, with simulated proxies that sign what they say.
 */
import { randomBytes } from "node:crypto";
import { runFleetLoop } from "../../control-plane/fleet/fleet-loop.js";
import { FleetState } from "../../control-plane/fleet/fleet-state.js";
import { openLooking } from "../../control-plane/look/open-looking.js";
import { RegistryState } from "../../control-plane/registry/registry-state.js";
import { callBoundsMs, codesCount, type TrafficCounts } from "../../core/look/look-model.js";
import { encodeHeartbeat } from "../../core/wire/fleet.js";
import { encodeTrafficReport, verifyLookOrder } from "../../core/wire/look.js";
import { keySetOf } from "../../core/wire/records.js";
import { heartbeatSubject, lookOrderSubject, lookSubject } from "../../core/wire/subjects.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { MemoryBroker } from "../../runtime/memory-bus.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import { buildHeartbeat } from "../../test/support/fake-fleet.js";
import { buildTrust, createTestKey, testMesh } from "../../test/support/records.js";
import { StatementPki, writerOf } from "../../test/support/statements.js";

export interface FleetSize {
  readonly services: number;
  readonly callsPerSecond: number;
}

interface Simulated {
  readonly service: string;
  readonly proxyId: string;
  readonly writer: StatementWriter;
  /** Two services that it calls. */
  readonly calls: readonly string[];
}

const heartbeatMs = 3000;
const pki = new StatementPki();

/** A control plane with simulated proxies, one of each service, until `signal` aborts. */
export class WatchedMesh {
  readonly broker = new MemoryBroker();
  readonly bus = this.broker.connect();
  readonly looking: ReturnType<typeof openLooking>;
  readonly registry = new RegistryState();
  readonly fleet: ReturnType<typeof runFleetLoop>;
  /** CPU microseconds of what the proxies do, which is none of the control plane's. */
  proxiesCpuUs = 0;
  readonly #proxies: readonly Simulated[];
  readonly #callsEach: number;
  #order = "";

  constructor({ services, callsPerSecond }: FleetSize, signal: AbortSignal) {
    const key = createTestKey();
    const clock = systemClock;
    const names = Array.from({ length: services }, (_, index) => `service-${index}`);
    this.#proxies = names.map((service, index) => {
      const proxyId = `proxy-${index}`;
      const endpoint = { proxyId, service, instance: proxyId, version: "v1", address: "10.0.0.1:7443", labels: [] };
      this.registry.hear({ endpoint: { ...endpoint, gone: false, timeMs: 1 }, serial: undefined, endsMs: Infinity });
      const calls = [index * 2 + 1, index * 2 + 2].map((at) => names[at % services] ?? "");
      return { service, proxyId, writer: writerOf(pki.issue(service, proxyId)), calls };
    });
    // each call is counted by both of its proxies
    this.#callsEach = callsPerSecond / services / 2;
    const reader = pki.reader();
    this.fleet = runFleetLoop({ state: new FleetState(), bus: this.bus, clock, log: silentLogger, reader });
    const random = (count: number) => new Uint8Array(randomBytes(count));
    const base = { mesh: testMesh, signer: key.signer, bus: this.bus, reader, clock, log: silentLogger, random };
    this.looking = openLooking({ ...base, fleet: this.fleet });
    const orders = this.bus.subscribe(lookOrderSubject);
    const keys = keySetOf(buildTrust([key]));
    void (async () => {
      for await (const { data } of orders) this.#order = verifyLookOrder(data, testMesh, keys).body.id;
    })();
    void this.#say(signal);
  }

  /** Every proxy reports once a second and beats every three, spread evenly as in a fleet. */
  async #say(signal: AbortSignal): Promise<void> {
    const turns = 50;
    for (let turn = 0; !signal.aborted; turn++) {
      const before = process.cpuUsage();
      for (let at = turn % turns; at < this.#proxies.length; at += turns) this.#speak(this.#proxies[at], turn, turns);
      const { user, system } = process.cpuUsage(before);
      this.proxiesCpuUs += user + system;
      await systemClock.sleep(1000 / turns, signal);
    }
  }

  #speak(proxy: Simulated | undefined, turn: number, turns: number): void {
    if (proxy === undefined) return;
    const { service, proxyId, writer } = proxy;
    if (Math.floor(turn / turns) % (heartbeatMs / 1000) === 0) {
      const beat = encodeHeartbeat(buildHeartbeat(proxyId, { service, timeMs: systemClock.nowMs() }));
      this.bus.publish(heartbeatSubject(service, proxyId), beat, writer.sign("heartbeat", beat));
    }
    if (this.#order === "") return;
    const counts = proxy.calls.flatMap((other) => [true, false].map((outbound) => this.#counts(other, outbound)));
    const report = encodeTrafficReport({ order: this.#order, intervalMs: 1000, counts }, { service, proxyId });
    this.bus.publish(lookSubject(service, proxyId, this.#order), report, writer.sign("look", report));
  }

  #counts(other: string, outbound: boolean): TrafficCounts {
    const calls = Math.max(1, Math.round(this.#callsEach));
    return {
      ...{ outbound, other, method: "shop.More/Do", version: "v1", streams: calls },
      codes: Array.from({ length: codesCount }, (_, code) => (code === 0 ? calls : 0)),
      took: Array.from({ length: callBoundsMs.length + 1 }, (_, at) => (at === 2 ? calls : 0)),
    };
  }
}
