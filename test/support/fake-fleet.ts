/** The real fleet view with heartbeats that tests write. */

import { type FleetLoop, runFleetLoop } from "../../control-plane/fleet/fleet-loop.js";
import { FleetState } from "../../control-plane/fleet/fleet-state.js";
import type { Heartbeat, Revision, Signed } from "../../core/model.js";
import { encodeHeartbeat } from "../../core/wire/fleet.js";
import { heartbeatSubject } from "../../core/wire/subjects.js";
import type { BusSubscription } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import { type Logger, silentLogger } from "../../runtime/log.js";
import { messageOf, unsignedReader } from "./statements.js";

export function buildHeartbeat(proxyId: string, parts: Partial<Heartbeat> = {}): Heartbeat {
  return {
    proxyId,
    service: "payments",
    version: "v1",
    timeMs: 1_700_000_000_000,
    seenEpoch: 0,
    evaluatingEpoch: 0,
    evaluatingRevision: 0,
    evaluatingDigest: undefined,
    prepared: [],
    rejected: undefined,
    certificateExpiresMs: 1_700_000_000_000 + 24 * 3_600_000,
    freshnessAgeMs: 100,
    lagMs: 3,
    trustSequence: 1,
    serving: true,
    bypassable: [],
    seenActivation: undefined,
    leaving: false,
    calls: undefined,
    callsBefore: undefined,
    labels: [],
    ...parts,
  };
}

const nothing: BusSubscription = {
  dropped: 0,
  close() {},
  async *[Symbol.asyncIterator]() {},
};

export class FakeFleet {
  readonly state = new FleetState();
  readonly loop: FleetLoop;

  constructor(clock: Clock, log: Logger = silentLogger) {
    const bus = { subscribe: () => nothing };
    this.loop = runFleetLoop({ state: this.state, bus, clock, log, reader: unsignedReader(clock) });
  }

  say(proxyId: string, parts: Partial<Heartbeat> = {}): void {
    const heartbeat = buildHeartbeat(proxyId, parts);
    const subject = heartbeatSubject(heartbeat.service, proxyId);
    this.loop.hear(messageOf(subject, encodeHeartbeat(heartbeat)));
  }

  /** Makes the proxy report that it holds these revisions compiled. */
  prepare(proxyId: string, revisions: readonly Signed<Revision>[], parts: Partial<Heartbeat> = {}): void {
    const prepared = revisions.map(({ body, digest }) => ({ number: body.number, digest }));
    this.say(proxyId, { prepared, ...parts });
  }

  reject(proxyId: string, revision: Signed<Revision>, reason: string): void {
    this.say(proxyId, { rejected: { number: revision.body.number, digest: revision.digest, reason } });
  }
}
