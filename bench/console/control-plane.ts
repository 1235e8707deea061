/**
 * Measures what the console costs a control plane. The control plane's own parts (heartbeats, orders to report calls,
 * recent traffic, the console's server) run in this process, over an in-memory bus, with simulated proxies that sign
 * what they send.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { runFleetLoop } from "../../control-plane/fleet/fleet-loop.js";
import { FleetState } from "../../control-plane/fleet/fleet-state.js";
import { openLooking } from "../../control-plane/look/open-looking.js";
import { RegistryState } from "../../control-plane/registry/registry-state.js";
import type { Signed, Trust } from "../../core/model.js";
import { verifyLookOrder } from "../../core/wire/look.js";
import { keySetOf } from "../../core/wire/records.js";
import { lookOrderSubject } from "../../core/wire/subjects.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { MemoryBroker } from "../../runtime/memory-bus.js";
import { StatementReader } from "../../runtime/statement-reader.js";
import { buildTrust, createTestKey, testMesh } from "../../test/support/records.js";
import { type Asked, type FleetSize, type FromProxies, serviceNames } from "./proxies.js";

/** A control plane with simulated proxies, one of each service, until it is closed. */
export class WatchedMesh {
  readonly bus = new MemoryBroker().connect();
  readonly looking: ReturnType<typeof openLooking>;
  readonly registry = new RegistryState();
  readonly fleet: ReturnType<typeof runFleetLoop>;
  /** True: what proxies say is thrown away as it comes, so that only its way into this process costs anything. */
  isDeaf = false;
  readonly #proxies: ChildProcess;
  #trust: Signed<Trust> | undefined;

  constructor(size: FleetSize) {
    const key = createTestKey();
    const clock = systemClock;
    for (const [index, service] of serviceNames(size.services).entries()) {
      const proxyId = `proxy-${index}`;
      const endpoint = { proxyId, service, instance: proxyId, version: "v1", address: "10.0.0.1:7443", labels: [] };
      this.registry.hear({ endpoint: { ...endpoint, gone: false, timeMs: 1 }, serial: undefined, endsMs: Infinity });
    }
    const reader = new StatementReader({ mesh: testMesh, trusting: () => this.#trust, clock });
    this.fleet = runFleetLoop({ state: new FleetState(), bus: this.bus, clock, log: silentLogger, reader });
    const random = (count: number) => new Uint8Array(randomBytes(count));
    const base = { mesh: testMesh, signer: key.signer, bus: this.bus, reader, clock, log: silentLogger, random };
    this.looking = openLooking({ ...base, fleet: this.fleet });
    this.#proxies = fork(join(import.meta.dirname, "proxies.js"), [JSON.stringify(size)], {
      serialization: "advanced",
    });
    const proxies = this.#proxies;
    proxies.on("message", (message) => this.#take(message as FromProxies));
    const orders = this.bus.subscribe(lookOrderSubject);
    const keys = keySetOf(buildTrust([key]));
    void (async () => {
      for await (const { data } of orders) {
        if (!proxies.connected) return; // it is closed, and an order was under way
        const { id, everyMs } = verifyLookOrder(data, testMesh, keys).body;
        proxies.send({ id, everyMs } satisfies Asked);
      }
    })();
  }

  close(): void {
    this.#proxies.disconnect();
    this.fleet.close();
  }

  #take(message: FromProxies): void {
    if ("trust" in message) this.#trust = message.trust;
    else if (!this.isDeaf)
      for (const [subject, data, headers] of message.said) this.bus.publish(subject, data, headers);
  }
}
