import { expect, test } from "@jest/globals";
import { JournalLog } from "../../../core/journal/journal-log.js";
import { randomOf, World } from "../../support/journal-world.js";
import type { Call, Faults, StoredEntry, StoredMessages } from "../../support/journal-world-log.js";
import { runs } from "../../support/runs.js";

const seeds = runs(10_000);
const ticksMax = 5000;

/** `streams`: some of them stream their messages. */
function callsOf(random: () => number, streams: boolean): readonly Call[] {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item;
  const order = pick(["", "a", "mixed"]);
  const calls: Call[] = [];
  for (let id = 1; id <= 7; id += 1) {
    const key = pick(["k1", "k2", ""]);
    calls.push({
      id,
      keyId: key,
      order: order === "mixed" ? pick(["a", "b"]) : order,
      request: random() < 0.9 ? `request ${key}` : "other bytes",
      expected: order !== "" && random() < 0.3 ? Math.floor(random() * 6) : undefined,
      ...(streams && random() < 0.6 && { messages: random() < 0.2 ? "breaks-off" : Math.ceil(random() * 4) }),
    });
  }
  return calls;
}

/** Runs one seed to its end and returns what must not be, one line each. */
function faultsOf(
  seed: number,
  faults: Faults,
  streams = false,
): { readonly world: World; readonly wrong: readonly string[] } {
  const random = randomOf(seed);
  const world = new World(random, faults, 1 + Math.floor(random() * 3));
  const calls = [...callsOf(random, streams)];
  let ticks = 0;
  for (; ticks < ticksMax && (calls.length > 0 || world.busy); ticks += 1) {
    const next = calls[0];
    if (next !== undefined && (!world.busy || random() < 0.1)) {
      calls.shift();
      world.start(next);
    } else world.tick();
  }
  const wrong: string[] = ticks === ticksMax ? ["it does not end"] : [];
  // the whole history is the truth, however much of it was let go
  const law = new JournalLog();
  const kept = new JournalLog(world.letGo);
  for (const each of world.log) {
    if (each.kind === "outcome" && law.addOutcome(each) === undefined)
      wrong.push(`outcome ${each.sequence} settles nothing`);
    if (each.kind === "messages") law.addMessages(each);
    if (each.kind !== "entry") continue;
    const streamed = { stream: `${each.call}.${each.life}`, messages: each.messages };
    const entry = { ...each, key: each.subject, hasOutcome: false, streamed };
    const [judged, again] = [law.addEntry(entry), kept.addEntry(entry)];
    if (again !== undefined && again.isValid !== judged?.isValid)
      wrong.push(`entry ${each.sequence} is another thing to those who read what is kept`);
  }
  /** A key is remembered from its first use on, whatever came of that. */
  const isForgotten = (key: string, one: number, other: number): boolean =>
    world.forgotten.some(
      ({ id, sequence, at }) => id === key && sequence <= Math.min(one, other) && at < Math.max(one, other),
    );
  const entries = world.log.filter((each): each is StoredEntry => each.kind === "entry");
  const seen = new Set<number>();
  const keys = new Map<string, number>();
  const last = new Map<string, number>();
  for (const { sequence } of world.given) {
    const entry = entries.find((each) => each.sequence === sequence);
    if (entry === undefined || law.entry(sequence)?.isValid !== true)
      wrong.push(`${sequence} is void and was forwarded`);
    if (seen.has(sequence)) wrong.push(`${sequence} was forwarded twice`);
    seen.add(sequence);
    if (entry === undefined) continue;
    const first = keys.get(entry.keyId);
    if (entry.keyId !== "" && first !== undefined && !isForgotten(entry.keyId, first, sequence))
      wrong.push(`key ${entry.keyId} was forwarded twice`);
    keys.set(entry.keyId, sequence);
  }
  wrong.push(...streamFaultsOf(world, law));
  for (const { sequence } of world.applied) {
    const entry = entries.find((each) => each.sequence === sequence);
    if (entry?.isOrdered !== true) continue;
    if (sequence < (last.get(entry.subject) ?? 0)) wrong.push(`${sequence} was applied out of order`);
    last.set(entry.subject, sequence);
  }
  for (const { call, end } of world.ended) {
    if (end?.kind !== "applied" && end?.kind !== "recorded") continue;
    const entry = entries.find((each) => each.sequence === end.sequence);
    if (entry === undefined || law.entry(end.sequence)?.isValid !== true)
      wrong.push(`call ${call.id} was acknowledged and is not in the log`);
    if (!world.applied.some(({ sequence }) => sequence === end.sequence))
      wrong.push(`call ${call.id} was acknowledged and not applied`);
    if (end.kind === "recorded" && entry?.request !== call.request)
      wrong.push(`call ${call.id} got the outcome of other bytes`);
    if (end.kind === "applied" && end.isDurable && law.entry(end.sequence)?.settledBy === 0)
      wrong.push(`call ${call.id} was told of an outcome that is not kept`);
  }
  return { world, wrong };
}

/** What the application got of a stream is all of it, from records of one life that come before the entry; the rest is void. */
function streamFaultsOf(world: World, law: JournalLog): readonly string[] {
  const wrong: string[] = [];
  const records = world.log.filter((each): each is StoredMessages => each.kind === "messages");
  const entries = world.log.filter((each): each is StoredEntry => each.kind === "entry");
  const closed = new Set<string>();
  for (const { sequence, call, life, messages } of entries) {
    if (law.entry(sequence)?.isValid === true && messages.length > 0) closed.add(`${call}.${life}`);
    for (const [number, at] of messages.entries()) {
      const record = records.find((each) => each.sequence === at);
      if (record?.stream !== `${call}.${life}` || record.number !== number || at >= sequence)
        wrong.push(`entry ${sequence} names ${at}, which is not message ${number} of its stream`);
      const through = world.letGo?.through ?? 0;
      if (sequence > through && at <= through) wrong.push(`message ${at} of entry ${sequence} was let go`);
    }
  }
  for (const { sequence, call } of world.given) {
    const entry = entries.find((each) => each.sequence === sequence);
    if (call.messages === "breaks-off") wrong.push(`call ${call.id} broke off and was forwarded`);
    else if (entry?.messages.length !== (call.messages ?? 0)) wrong.push(`${sequence} was forwarded in part`);
  }
  const open = new Set([...law.unclosed].flat());
  for (const { sequence, stream } of records)
    if (open.has(sequence) === closed.has(stream))
      wrong.push(`message ${sequence} is ${open.has(sequence) ? "void" : "valid"} to the law`);
  return wrong;
}

test(`${seeds} interleavings of streams, whose proxies die between messages, keep the law`, () => {
  const wrong: string[] = [];
  let [applied, recorded, died, gone, unclosed] = [0, 0, 0, 0, 0];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const lettingGo = seed % 3 === 0 ? 0.03 : 0;
    const found = faultsOf(seed, { death: 0.02, loss: 0.15, fresh: 0.5, lettingGo }, true);
    for (const each of found.wrong) wrong.push(`seed ${seed}: ${each}`);
    const names = new Set(found.world.log.flatMap((each) => (each.kind === "entry" ? each.messages : [])));
    unclosed += found.world.log.filter(({ kind, sequence }) => kind === "messages" && !names.has(sequence)).length;
    for (const { call, end } of found.world.ended) {
      if (call.messages === undefined) continue;
      if (end === undefined) died += 1;
      else if (end.kind === "applied") applied += 1;
      else if (end.kind === "recorded") recorded += 1;
      else if (end.kind === "gone") gone += 1;
    }
  }
  expect(wrong.slice(0, 10)).toEqual([]);
  for (const count of [applied, recorded, died, gone, unclosed]) expect(count).toBeGreaterThan(seeds / 10);
});

test(`${seeds} interleavings with deaths, losses, lagging reads and stolen message ids keep the law`, () => {
  const wrong: string[] = [];
  let [applied, recorded, died, conflicts, blocked, thefts] = [0, 0, 0, 0, 0, 0];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const found = faultsOf(seed, { death: 0.02, loss: 0.15, fresh: 0.5, theft: seed % 4 === 0 ? 0.2 : 0 });
    for (const each of found.wrong) wrong.push(`seed ${seed}: ${each}`);
    thefts += found.world.log.filter(({ kind }) => kind === "garbage").length;
    for (const { end } of found.world.ended) {
      if (end === undefined) died += 1;
      else if (end.kind === "applied") applied += 1;
      else if (end.kind === "recorded") recorded += 1;
      else if (end.kind === "conflict") conflicts += 1;
      else if (end.kind === "blocked") blocked += 1;
    }
  }
  expect(wrong.slice(0, 10)).toEqual([]);
  // each way is taken often enough to be tried
  for (const count of [applied, recorded, died, conflicts, blocked, thefts]) expect(count).toBeGreaterThan(seeds / 20);
});

test(`${seeds} interleavings in which operators let go of what is settled keep the law`, () => {
  const wrong: string[] = [];
  let [letGo, applied, conflicts] = [0, 0, 0];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const found = faultsOf(seed, { death: 0.01, loss: 0.1, fresh: 0.5, lettingGo: 0.03 });
    for (const each of found.wrong) wrong.push(`seed ${seed}: ${each}`);
    letGo += found.world.log.filter(({ kind }) => kind === "let-go").length;
    applied += found.world.ended.filter(({ end }) => end?.kind === "applied").length;
    conflicts += found.world.ended.filter(({ end }) => end?.kind === "conflict").length;
  }
  expect(wrong.slice(0, 10)).toEqual([]);
  for (const count of [letGo, applied, conflicts]) expect(count).toBeGreaterThan(seeds / 5);
});

test("without faults every write that expects nothing is applied once, or got what was recorded", () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = randomOf(seed);
    const world = new World(random, { death: 0, loss: 0, fresh: 1 }, 1);
    for (let id = 1; id <= 6; id += 1) {
      world.start({ id, keyId: id % 2 === 0 ? "k" : "", order: "a", request: "r", expected: undefined });
      for (let ticks = 0; ticks < 1000 && world.busy; ticks += 1) world.tick();
    }
    expect(world.ended.map(({ end }) => end?.kind)).toEqual([
      ...["applied", "applied", "applied", "recorded", "applied", "recorded"],
    ]);
  }
});
