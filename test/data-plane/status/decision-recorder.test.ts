import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "@jest/globals";
import { streamSpecs } from "../../../control-plane/store/streams.js";
import { noInputs, renderDecisionId } from "../../../core/decision/decision-record.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { encodeDecision, parseBatch } from "../../../core/wire/decisions.js";
import { decisionStream, decisionSubject } from "../../../core/wire/subjects.js";
import { DecisionRecorder } from "../../../data-plane/status/decision-recorder.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { proxyPermissions } from "../../../runtime/nats-permissions.js";
import { ManualClock } from "../../support/manual-clock.js";
import { FakeIdentity, issueIdentity, mesh } from "../../support/proxy-fakes.js";
import { unsignedWriter } from "../../support/statements.js";
import { TestPki } from "../../support/test-pki.js";

const writer = { service: "bytes", proxyId: "proxy-bytes" };
const decision = (index: number, method = "s.S/M"): Uint8Array =>
  encodeDecision({
    id: renderDecisionId(1000, 0, index),
    direction: "inbound",
    service: "bytes",
    caller: buildSpiffeId(mesh, "service", "shop"),
    method,
    verdict: "denied",
    rule: "default-deny",
    revision: 1,
    epoch: 1,
    timeMs: 1000,
    inputs: noInputs,
    routing: undefined,
    version: "",
    limits: [],
    closed: false,
    shadow: false,
  });

describe("decision recorder", () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  function open() {
    const clock = new ManualClock();
    const broker = new MemoryBroker(clock);
    for (const spec of streamSpecs({ replicas: 1 })) broker.create(spec);
    const bus = broker.connect(proxyPermissions(writer.service, writer.proxyId));
    const identity = new FakeIdentity(issueIdentity(new TestPki(mesh), "bytes"));
    const recorder = new DecisionRecorder(
      { bus, identity, statements: unsignedWriter, clock, random: randomBytes, log: silentLogger },
      0.25,
    );
    closers.push(() => recorder.close());
    const reader = broker.connect();
    const read = async (sequence: number) => {
      const stored = await reader.directGet(decisionStream, { sequence });
      return stored && { subject: stored.subject, ...parseBatch(stored.data, writer) };
    };
    return { clock, broker, recorder, read };
  }

  /** Lets promises that are due go on. */
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  test("many decisions go in one message, after a second, under the proxy's own subject", async () => {
    const { clock, recorder, read } = open();
    for (let index = 0; index < 100; index++) expect(recorder.offer(decision(index))).toBe(true);
    await settle();
    expect(await read(1)).toBeUndefined();
    clock.advance(1000);
    await settle();
    const batch = await read(1);
    expect(batch).toMatchObject({ share: 0.25, dropped: 0, subject: decisionSubject("bytes", "proxy-bytes") });
    expect(batch?.decisions).toHaveLength(100);
    expect(recorder.totals).toEqual({ recorded: 100, counted: 0, dropped: 0 });
    expect(await read(2)).toBeUndefined();
  });

  test("I8: with NATS away what finds no room is dropped and counted; what was kept is stored when it is back", async () => {
    const { clock, broker, recorder, read } = open();
    broker.setUp(false);
    let kept = 0;
    for (let index = 0; index < 20_000; index++) if (recorder.offer(decision(index))) kept++;
    expect(kept).toBe(8192);
    expect(recorder.totals.dropped).toBe(20_000 - kept);
    clock.advance(1000);
    await settle();
    broker.setUp(true);
    let stored = 0;
    for (let turn = 0; turn < 1000 && stored < kept; turn++) {
      clock.advance(5000);
      await settle();
      stored = recorder.totals.recorded;
    }
    expect(stored).toBe(kept);
    const batches = await Promise.all(Array.from({ length: 1000 }, (_, index) => read(index + 1)));
    expect(batches.reduce((sum, batch) => sum + (batch?.decisions.length ?? 0), 0)).toBe(kept);
    expect(batches.reduce((sum, batch) => sum + (batch?.dropped ?? 0), 0)).toBe(20_000 - kept);
  });

  test("counts of refusals go along, at most so many of them", async () => {
    const { clock, recorder, read } = open();
    const count = { caller: "", method: "", rule: "r", verdict: "denied", revision: 1, fromMs: 1, untilMs: 2 } as const;
    recorder.offerCounts(Array.from({ length: 300 }, () => ({ ...count, count: 10 })));
    clock.advance(1000);
    await settle();
    clock.advance(1000);
    await settle();
    const batches = await Promise.all([1, 2].map(read));
    expect(batches.reduce((sum, batch) => sum + (batch?.counted.length ?? 0), 0)).toBe(256);
    expect(batches[0]).toMatchObject({ dropped: 440 });
    expect(recorder.totals).toEqual({ recorded: 0, counted: 2560, dropped: 440 });
  });

  test("no message is longer than the stream stores, whatever is offered", async () => {
    const { clock, recorder, read } = open();
    const count = { verdict: "denied", revision: 1, fromMs: 1, untilMs: 2, count: 10 } as const;
    recorder.offerCounts(
      Array.from({ length: 256 }, () => ({
        ...count,
        caller: `spiffe://mesh/service/${"a".repeat(63)}`,
        method: "m".repeat(60),
        rule: "r".repeat(60),
      })),
    );
    for (let index = 0; index < 3000; index++) recorder.offer(decision(index));
    for (let turn = 0; turn < 100 && recorder.totals.recorded < 3000; turn++) {
      clock.advance(1000);
      await settle();
    }
    expect(recorder.totals).toMatchObject({ recorded: 3000, counted: 2560, dropped: 0 });
    expect(await read(2)).toBeDefined();
  });

  test("one that records a little all the time sends a batch a second at first, and then one every 21 s", async () => {
    const { clock, recorder } = open();
    let sent = 0;
    for (let second = 0; second < 600 + 210; second++) {
      recorder.offer(decision(second));
      await settle();
      clock.advance(1000);
      await settle();
      if (second === 599) sent = recorder.totals.recorded;
    }
    expect(sent).toBeGreaterThan(540);
    const { recorded } = recorder.totals;
    expect(recorded - sent).toBeGreaterThan(150); // they wait, and none is lost
    expect(recorder.totals.dropped).toBe(0);
  });

  test("a recorder that closes sends what it has and takes no more", async () => {
    const { recorder, read } = open();
    recorder.offer(decision(1));
    await recorder.close();
    expect((await read(1))?.decisions).toHaveLength(1);
    expect(recorder.offer(decision(2))).toBe(false);
  });

  test("I3: a batch that says to be of another proxy is refused", async () => {
    const { clock, recorder, read } = open();
    recorder.offer(decision(1));
    clock.advance(1000);
    await settle();
    const batch = await read(1);
    expect(batch?.proxyId).toBe("proxy-bytes");
    await expect(async () => parseBatch(new Uint8Array([1, 2, 3]), writer)).rejects.toThrow(/decision batch/);
  });
});
