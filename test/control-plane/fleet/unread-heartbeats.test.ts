/** Heartbeats that repeat what was said: when a control plane verifies them (decision 0087). */
import { afterEach, expect, test } from "@jest/globals";
import { type FleetLoop, runFleetLoop } from "../../../control-plane/fleet/fleet-loop.js";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { UnreadHeartbeats } from "../../../control-plane/fleet/unread-heartbeats.js";
import type { Heartbeat } from "../../../core/model.js";
import { encodeHeartbeat } from "../../../core/wire/fleet.js";
import { repeatHeader } from "../../../core/wire/statement.js";
import { heartbeatSubject } from "../../../core/wire/subjects.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { parseHeaderBlock } from "../../../runtime/nats-headers.js";
import { messageFrom } from "../../../runtime/nats-messages.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";
import { heldBytes } from "../../support/held.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { messageOf, StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const subject = heartbeatSubject("payments", "p1");
const repeats = { [repeatHeader]: "1" };
let loop: FleetLoop | undefined;
afterEach(() => loop?.close());

function world(state = new FleetState()) {
  const clock = new ManualClock();
  const bus = new MemoryBroker().connect();
  const own = writerOf(pki.issue("payments", "p1"));
  const reader = pki.reader();
  const counts = { verified: 0 };
  const counting = {
    revocationOf: reader.revocationOf.bind(reader),
    hear: (...args: Parameters<typeof reader.hear>) => {
      counts.verified += 1;
      return reader.hear(...args);
    },
  };
  const fleet = runFleetLoop({ state, bus, clock, log: silentLogger, reader: counting });
  loop = fleet;
  const beat = async (headers: object = repeats, parts: Partial<Heartbeat> = {}, writer = own) => {
    const bytes = encodeHeartbeat(buildHeartbeat("p1", parts));
    bus.publish(subject, bytes, { ...writer.sign("heartbeat", bytes), ...headers });
    await settle();
  };
  const isLive = () => fleet.live().length === 1;
  return { clock, counts, beat, isLive, fleet };
}

test("of heartbeats every three seconds every second one is verified, and the proxy stays live", async () => {
  const { clock, counts, beat, isLive } = world();
  const seen: boolean[] = [];
  for (let turn = 0; turn < 20; turn++) {
    await beat();
    seen.push(isLive());
    await clock.advance(3000);
    seen.push(isLive());
  }
  expect(seen).toEqual(Array(40).fill(true));
  expect(counts.verified).toBe(10);
});

test("the first one, one without the header, and one that is long are read at once", async () => {
  const { counts, beat, fleet } = world();
  await beat();
  expect(counts.verified).toBe(1);
  await beat({}, { evaluatingEpoch: 3 });
  expect(fleet.list()[0]?.heartbeat.evaluatingEpoch).toBe(3);
  const labels = Array.from({ length: 60 }, (_, at) => ({ key: `key-${at}`, value: "x".repeat(63) }));
  await beat(repeats, { labels: labels.sort((a, b) => (a.key < b.key ? -1 : 1)) });
  expect(counts.verified).toBe(3);
});

test("one that was kept counts from when it came, if no other follows", async () => {
  const { clock, beat, isLive } = world();
  await beat();
  await clock.advance(3000);
  await beat();
  await clock.advance(9900);
  expect(isLive()).toBe(true);
  await clock.advance(1200);
  expect(isLive()).toBe(false);
});

test("one that the proxy did not sign makes it live no longer, whatever header it has", async () => {
  const { clock, beat, isLive } = world();
  await beat();
  await clock.advance(3000);
  await beat(repeats, {}, writerOf(pki.issue("payments", "thief")));
  await clock.advance(6900);
  expect(isLive()).toBe(true);
  await clock.advance(1200);
  expect(isLive()).toBe(false);
});

test("a proxy that is only known from before the start is verified at once", async () => {
  const state = new FleetState();
  const clock = new ManualClock();
  state.restore([{ heartbeat: buildHeartbeat("p1"), lastSeenMs: clock.nowMs(), live: true }], clock.nowMs());
  const { beat, counts } = world(state);
  await beat();
  expect(counts.verified).toBe(1);
});

test("after a time without a turn of the event loop the kept one is read before the next", () => {
  let liveForMs = 8000;
  const unread = new UnreadHeartbeats(10_000, () => liveForMs);
  const first = messageOf(subject, new Uint8Array(1), repeats);
  const second = messageOf(subject, new Uint8Array(2), repeats);
  expect(unread.take(first, { atMs: 3000, wallMs: 3000 })).toEqual([]);
  liveForMs = 0;
  const read = unread.take(second, { atMs: 12_000, wallMs: 12_000 });
  expect(read.map(({ message, atMs }) => [message.data, atMs])).toEqual([
    [first.data, 3000],
    [second.data, 12_000],
  ]);
  expect(unread.takeDue(12_000)).toEqual([]);
});

test("of header blocks of any length the statements alone are kept", () => {
  const unread = new UnreadHeartbeats(10_000, () => 8000);
  const before = heldBytes();
  for (let at = 0; at < 50; at += 1) {
    const block = `NATS/1.0\r\nAshlar-Statement: statement-of-${at}\r\n${repeatHeader}: 1\r\nPadding: ${"p".repeat(500_000)}\r\n\r\n`;
    const headers = parseHeaderBlock(Buffer.from(block));
    const message = messageFrom({ subject: heartbeatSubject("payments", `p${at}`), data: new Uint8Array(1), headers });
    expect(unread.take(message, { atMs: 0, wallMs: 0 })).toEqual([]);
  }
  expect(heldBytes() - before).toBeLessThan(5_000_000); // not 25 MB
  expect(unread.take(messageOf(subject, new Uint8Array(1)), { atMs: 0, wallMs: 0 })).toHaveLength(1);
});
