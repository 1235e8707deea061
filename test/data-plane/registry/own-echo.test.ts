/** A view that follows nobody yet, and one that hears nobody but itself. */
import { expect, test } from "@jest/globals";
import { streamSpecs } from "../../../control-plane/store/streams.js";
import type { Endpoint, Heartbeat } from "../../../core/model.js";
import { encodeEndpoint, encodeHeartbeat } from "../../../core/wire/fleet.js";
import { endpointReadSubject, endpointSubject, heartbeatSubject } from "../../../core/wire/subjects.js";
import { openEndpointRegistry } from "../../../data-plane/registry/endpoint-view.js";
import type { Bus } from "../../../runtime/bus.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { unsignedReader } from "../../support/statements.js";
import { MemoryFolder } from "../sync/memory-folder.js";

const self = { service: "checkout", proxyId: "c1" };
const peer = { service: "payments", proxyId: "p1" };

async function openWorld() {
  const clock = new ManualClock();
  const broker = new MemoryBroker(clock);
  for (const spec of streamSpecs({ replicas: 1 })) broker.create(spec);
  const bus = broker.connect();
  const followed = new Set<string>();
  const subscribe: Bus["subscribe"] = (subject, options) => {
    followed.add(subject);
    const subscription = bus.subscribe(subject, options);
    return {
      get dropped() {
        return subscription.dropped;
      },
      close() {
        followed.delete(subject);
        subscription.close();
      },
      [Symbol.asyncIterator]: () => subscription[Symbol.asyncIterator](),
    };
  };
  const watched = new Proxy(bus, {
    get: (target, name) => {
      if (name === "subscribe") return subscribe;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const deps = { bus: watched, folder: new MemoryFolder(), clock, log: silentLogger, reader: unsignedReader(clock) };
  const view = await openEndpointRegistry({ ...deps, trust: { onChange: () => () => {} } }, self);
  const beat = (from: typeof self): void => {
    const words: Partial<Heartbeat> = { ...from, version: "v1", timeMs: clock.nowMs(), prepared: [], labels: [] };
    const rest = { bypassable: [], seenEpoch: 0, evaluatingEpoch: 0, evaluatingRevision: 0, leaving: false };
    const times = { certificateExpiresMs: 0, freshnessAgeMs: 0, lagMs: 0, trustSequence: 0, serving: true };
    bus.publish(
      heartbeatSubject(from.service, from.proxyId),
      encodeHeartbeat({ ...words, ...rest, ...times } as Heartbeat),
    );
  };
  const state = async (): Promise<void> => {
    const where = { instance: "one", version: "v1", address: "127.0.0.1:1", labels: [], gone: false };
    const endpoint: Endpoint = { ...peer, ...where, timeMs: clock.nowMs() };
    await bus.append(endpointSubject(peer.service, peer.proxyId), encodeEndpoint(endpoint));
    await settle();
  };
  return { clock, view, followed, beat, state };
}

test("nobody's heartbeats but its own come to a proxy that asked for no instances", async () => {
  const { view, followed } = await openWorld();
  const echo = heartbeatSubject(self.service, self.proxyId);
  expect([...followed]).toEqual([echo]);
  view.endpoints(peer.service);
  const ofPeers = [endpointReadSubject(peer.service, "*"), heartbeatSubject(peer.service, "*")];
  expect([...followed]).toEqual([echo, ...ofPeers]);
  view.endpoints(self.service); // then the echo is among those of its service
  expect(followed).toEqual(
    new Set([...ofPeers, endpointReadSubject(self.service, "*"), heartbeatSubject(self.service, "*")]),
  );
  await view.stop();
  expect(followed.has(echo)).toBe(false);
});

test.each([
  { what: "its own heartbeats come back: the only peer is gone", echoes: true, left: 0 },
  { what: "nothing comes back: that says nothing about the peer", echoes: false, left: 1 },
])("a lease is over, and $what", async ({ echoes, left }) => {
  const { clock, view, beat, state } = await openWorld();
  await view.ready(peer.service);
  await state();
  expect(view.endpoints(peer.service)).toHaveLength(1);
  for (let seconds = 0; seconds < 30; seconds += 3) {
    if (echoes) beat(self);
    await clock.advance(3000);
  }
  expect(view.endpoints(peer.service)).toHaveLength(left);
  await view.stop();
});
