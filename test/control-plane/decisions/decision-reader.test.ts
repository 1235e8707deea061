import { beforeEach, describe, expect, test } from "@jest/globals";
import { createDecisionReader } from "../../../control-plane/decisions/decision-reader.js";
import { streamSpecs } from "../../../control-plane/store/streams.js";
import { type DecisionRecord, noInputs, renderDecisionId } from "../../../core/decision/decision-record.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { encodeBatch, encodeDecision } from "../../../core/wire/decisions.js";
import { decisionSubject } from "../../../core/wire/subjects.js";
import type { Bus } from "../../../runtime/bus.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { ManualClock } from "../../support/manual-clock.js";
import { unsignedReader } from "../../support/statements.js";

const writer = { service: "echo", proxyId: "p1" };
const startMs = 1_700_000_000_000;

const decision = (timeMs: number, index: number): DecisionRecord => ({
  id: renderDecisionId(timeMs, 0, index),
  direction: "inbound",
  service: "echo",
  caller: buildSpiffeId("test", "service", "front"),
  method: "s.S/M",
  verdict: "denied",
  rule: "default-deny",
  revision: 1,
  epoch: 1,
  timeMs,
  inputs: noInputs,
  routing: undefined,
  version: "",
  limits: [],
  closed: false,
  shadow: false,
});

describe("decision reader", () => {
  let clock: ManualClock;
  let bus: Bus;
  const reader = () => createDecisionReader({ bus, log: silentLogger, reader: unsignedReader(clock) });
  const store = (records: readonly DecisionRecord[], of = writer, subject = decisionSubject("echo", "p1")) => {
    const about = { ...of, share: 0.01, dropped: 0, counted: [] };
    return bus.append(subject, encodeBatch(about, records.map(encodeDecision)));
  };
  const listed = async (sinceMs: number): Promise<readonly string[]> => {
    const ids: string[] = [];
    for await (const batch of reader().list(sinceMs)) ids.push(...batch.decisions.map(({ id }) => id));
    return ids;
  };

  beforeEach(() => {
    clock = new ManualClock(startMs);
    const broker = new MemoryBroker(clock);
    for (const spec of streamSpecs({ replicas: 1 })) broker.create(spec);
    bus = broker.connect();
  });

  test("an empty stream has nothing", async () => {
    expect(await listed(0)).toEqual([]);
    expect(await reader().find("0".repeat(24))).toBeUndefined();
  });

  test("lists from a time on, in order, and finds each by its id", async () => {
    const all = Array.from({ length: 50 }, (_, index) => decision(startMs + index * 10_000, index));
    for (const record of all) {
      await store([record]);
      await clock.advance(10_000);
    }
    expect(await listed(0)).toEqual(all.map(({ id }) => id));
    expect(await listed(startMs + 400_000)).toEqual(all.slice(40).map(({ id }) => id));
    for (const record of all) expect(await reader().find(record.id)).toEqual({ ...writer, decision: record });
    expect(await reader().find(renderDecisionId(startMs, 9, 9))).toBeUndefined();
  });

  test("finds what its proxy stored late", async () => {
    const late = decision(startMs, 7);
    await clock.advance(3_600_000);
    for (let index = 0; index < 20; index++) await store([decision(startMs + 3_600_000, 100 + index)]);
    await store([late]);
    expect((await reader().find(late.id))?.decision).toEqual(late);
  });

  test("I3: a batch under another proxy's subject, and what is no batch, are left out", async () => {
    await store([decision(startMs, 1)], { service: "echo", proxyId: "p2" });
    await bus.append(decisionSubject("echo", "p1"), new Uint8Array([9, 9, 9]));
    await store([decision(startMs, 2)]);
    expect(await listed(0)).toEqual([decision(startMs, 2).id]);
  });

  test("I3: nobody records what another service decided, not even under an id that it was told", async () => {
    const refusal = decision(startMs, 1);
    const outbound = { direction: "outbound", verdict: "routed", routing: { draw: 0, available: [] } } as const;
    const other = { service: "front", proxyId: "p2" };
    await store([{ ...refusal, verdict: "allowed" }], other, decisionSubject("front", "p2"));
    await store([{ ...refusal, ...outbound }]); // echo says that front called
    await store([refusal]);
    expect(await reader().find(refusal.id)).toEqual({ ...writer, decision: refusal });
    const own = { ...decision(startMs, 2), ...outbound }; // front called, says front
    await store([own], other, decisionSubject("front", "p2"));
    expect(await reader().find(own.id)).toEqual({ ...other, decision: own });
  });
});
