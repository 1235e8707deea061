/** What reading a journal costs: the event feed of a proxy, and the history that a control plane replays. */
import { randomBytes } from "node:crypto";
import { extentOf, JournalHistory } from "../../control-plane/journal/journal-history.js";
import { type Digest, digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import { journalKey } from "../../core/journal/journal-key.js";
import { encodeEntry, type JournalEntry } from "../../core/wire/journal/entry.js";
import { encodeOutcome } from "../../core/wire/journal/outcome.js";
import { journalSubject } from "../../core/wire/subjects.js";
import { followJournal } from "../../data-plane/feed/follow-journal.js";
import { JournalNews } from "../../data-plane/feed/journal-news.js";
import { TurnSigner } from "../../data-plane/journal/turn-signer.js";
import { systemClock as clock } from "../../runtime/clock.js";
import { JournalNats } from "../../test/support/journal-nats.js";
import { StatementPki, writerOf } from "../../test/support/statements.js";
import { numberFlag, readFlags } from "../options.js";
import { machine, median, printTable } from "../proxy/contenders.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:journal-readers -- [--writes 5000] [--rounds 3] [--together 64]
Reads a journal with so many keyed writes of 64 bytes, an entry and an outcome each, from a nats-server of its own: as the event feed does,
and as a replay does. Once each record is signed alone, once so many are signed together. CPU is this process's, the readers'.`,
  example: "npm run bench:journal-readers -- --rounds 1",
});
const writes = numberFlag(flags, "writes", 5000);
const rounds = numberFlag(flags, "rounds", 3);
const together = numberFlag(flags, "together", 64);

const service = "ledger";
const pki = new StatementPki();
const never = new AbortController().signal;
const mesh = pki.mesh;

function entryOf(key: string): JournalEntry {
  return {
    ...{ service, proxyId: "p1", life: "ab".repeat(16), nonce: randomBytes(16), timeMs: Date.now(), user: "" },
    ...{ caller: buildSpiffeId(mesh, "service", "shop"), method: "bank.Ledger/Transfer", revision: 3, epoch: 4 },
    ...{ decision: "", key, order: "", expected: 0, afterVoid: 0, deadlineMs: 0, traceId: "", fields: [] },
    ...{ request: Buffer.alloc(69), confirms: [], outcome: undefined },
  };
}

function outcomeOf(entry: number, entryDigest: Digest): Uint8Array {
  const response = Buffer.alloc(69);
  return encodeOutcome({
    ...{ service, proxyId: "p1", timeMs: Date.now(), entry, entryDigest, code: 0, head: [], trailers: [] },
    ...{ response, responseDigest: digestOf(response), responseBytes: response.length, confirms: [] },
    ...{ notForwarded: false, behind: 0 },
  });
}

/** Fills a journal with several records at a time, which are signed together or one by one. */
async function fill(nats: JournalNats, isTogether: boolean): Promise<void> {
  const writer = writerOf(pki.issue(service, "p1"));
  const signer = new TurnSigner(writer);
  const append = async (kind: "entry" | "outcome", key: string, bytes: Uint8Array): Promise<number> => {
    const headers = isTogether ? await signer.sign(bytes, digestOf(bytes)) : writer.sign("journal", bytes);
    return nats.bus.append(journalSubject(service, kind, key), bytes, { headers });
  };
  for (let at = 0; at < writes; at += together) {
    const entries = Array.from({ length: Math.min(together, writes - at) }, (_, each) => entryOf(`key-${at + each}`));
    const stored = entries.map((entry) => ({ key: journalKey(entry), bytes: encodeEntry(entry) }));
    const sequences = await Promise.all(stored.map(({ key, bytes }) => append("entry", key, bytes)));
    await Promise.all(
      stored.map(({ key, bytes }, each) => append("outcome", key, outcomeOf(sequences[each] ?? 0, digestOf(bytes)))),
    );
  }
}

async function feed({ bus }: JournalNats): Promise<number> {
  const deps = { reader: pki.reader(), mesh, keys: () => new Map(), bus, clock, random: Math.random };
  const news = new JournalNews(bus, clock, service);
  const stop = new AbortController();
  let events = 0;
  const options = { service, from: 0, keys: new Set<string>() };
  for await (const { event } of followJournal({ ...deps, news }, options, stop.signal))
    if (event !== undefined && ++events >= writes) break;
  stop.abort();
  news.close();
  return events;
}

async function history({ bus }: JournalNats): Promise<number> {
  const ledger = { trust: { head: () => pki.trust, list: () => [pki.trust] } } as unknown as ConstructorParameters<
    typeof JournalHistory
  >[0]["ledger"];
  const deps = { bus, reader: pki.reader(), mesh, ledger, clock };
  const range = { service, from: 1, to: 0 };
  let settled = 0;
  for await (const part of new JournalHistory(deps, range, await extentOf(deps, service)).read(never))
    if (part.kind === "settled") settled += 1;
  return settled;
}

const readers = [
  ["event feed", feed],
  ["replay", history],
] as const;
const rows: string[][] = [];
for (const isTogether of [false, true]) {
  const nats = await JournalNats.start(service);
  try {
    await fill(nats, isTogether);
    const found = readers.map(() => ({ cpuUs: [] as number[], perSecond: [] as number[] }));
    for (let round = 0; round < rounds; round += 1)
      for (const [at, [name, read]] of readers.entries()) {
        const [cpu, startedMs] = [process.cpuUsage(), performance.now()];
        if ((await read(nats)) !== writes) throw new Error(`${name} did not read every write`);
        const { user, system } = process.cpuUsage(cpu);
        found[at]?.cpuUs.push((user + system) / writes);
        found[at]?.perSecond.push((writes * 1000) / (performance.now() - startedMs));
      }
    for (const [at, [name]] of readers.entries()) {
      const { cpuUs = [], perSecond = [] } = found[at] ?? {};
      const signed = isTogether ? `${together} together` : "alone";
      rows.push([name, signed, median(cpuUs).toFixed(0), String(Math.round(median(perSecond)))]);
    }
  } finally {
    await nats.stop();
  }
}
console.log(`\n${machine()}; ${writes} writes, ${rounds} rounds`);
printTable(["reader", "records signed", "CPU µs a write", "writes/s"], rows);
process.exit(0);
