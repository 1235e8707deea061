import { expect, test } from "@jest/globals";
import { findJournals } from "../../../control-plane/journal/find-journals.js";
import { JournalSealer, sealLinkOf } from "../../../control-plane/journal/journal-sealer.js";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { SealLinks } from "../../../control-plane/journal/seal-links.js";
import { UnresolvedWrites } from "../../../control-plane/journal/unresolved-writes.js";
import { verifySeal } from "../../../core/wire/journal/seal.js";
import { keySetOf } from "../../../core/wire/records.js";
import { journalSealSubject, journalStream } from "../../../core/wire/subjects.js";
import type { StoredQuery } from "../../../runtime/bus.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { archivePlane, archiveTrust } from "../../support/journal-archive.js";
import { testMesh } from "../../support/records.js";
import { StatementPki } from "../../support/statements.js";

const signal = new AbortController().signal;
const keys = keySetOf(archiveTrust.body);
const service = "ledger";
const stream = journalStream(service);

class World {
  readonly bus = new MemoryBroker().connect();
  readonly asked: number[] = [];
  readonly links = new SealLinks(sealLinkOf);
  readonly #counted = {
    append: this.bus.append.bind(this.bus),
    leaderGet: this.#counting((query) => this.bus.leaderGet(stream, query)),
    directGet: this.#counting((query) => this.bus.directGet(stream, query)),
  };
  readonly clock = { nowMs: () => Date.now() + 3_600_000 };
  readonly sealer = new JournalSealer({ ...this.#of(), bus: this.#counted, links: this.links });
  readonly unresolved = new UnresolvedWrites({
    ...{ bus: this.#counted, mesh: testMesh, reader: new StatementPki().reader(), keys: () => keys, clock: this.clock },
    places: { load: () => undefined, keep: async () => {} },
    links: this.links,
  });

  #of() {
    return { bus: this.bus, mesh: testMesh, signer: archivePlane.signer, keys: () => keys, clock: this.clock };
  }

  #counting(read: (query: StoredQuery) => ReturnType<World["bus"]["directGet"]>) {
    return (_stream: string, query: StoredQuery) => {
      if ("sequence" in query) this.asked.push(query.sequence);
      return read(query);
    };
  }

  async open(): Promise<this> {
    await this.bus.createStream(journalSpec({ service, rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
    return this;
  }

  async write(...texts: readonly string[]): Promise<void> {
    for (const text of texts) await this.bus.append(`ashlar.journal.${service}.entry.k`, Buffer.from(text));
  }

  async journal() {
    const [journal] = await findJournals(this.bus);
    if (journal === undefined) throw new Error("there is a journal");
    return journal;
  }

  /** What a sealer that reads all of it says of its end. */
  async endRead() {
    const end = await new JournalSealer(this.#of()).endOf(await this.journal(), signal);
    return verifySeal(end, testMesh, keys).body;
  }

  async lastSeal() {
    const message = await this.bus.leaderGet(stream, { lastOf: journalSealSubject(service) });
    return message && verifySeal(message.data, testMesh, keys).body;
  }
}

test("what was read for writes without an outcome is sealed with one more read, by the same chain", async () => {
  const world = await new World().open();
  await world.write("one", "two", "three");
  await world.unresolved.look(await world.journal(), signal);
  expect(world.asked).toEqual([1, 2, 3]);
  const { chain, messages } = await world.endRead();
  await world.sealer.look(await world.journal(), signal);
  expect(world.asked).toEqual([1, 2, 3, 3]); // the last one says that NATS has lost none
  expect(await world.lastSeal()).toMatchObject({ chain, messages, from: 1, through: 3 });
});

test("what nobody has read yet is read to be sealed, and a new stream's messages are its own", async () => {
  const world = await new World().open();
  await world.write("one");
  await world.unresolved.look(await world.journal(), signal);
  await world.write("two", "three");
  const { chain } = await world.endRead();
  await world.sealer.look(await world.journal(), signal);
  expect(world.asked).toEqual([1, 1, 2, 3]);
  expect(await world.lastSeal()).toMatchObject({ chain, through: 3 });

  await world.bus.deleteStream(stream);
  await world.open();
  await world.write("other");
  const { chain: others } = await world.endRead();
  await world.sealer.look(await world.journal(), signal);
  expect(world.asked).toEqual([1, 1, 2, 3, 1]);
  expect(await world.lastSeal()).toMatchObject({ chain: others, through: 1 });
});

test("messages that NATS lost, and others under their sequences before anybody looked, are sealed as they are stored", async () => {
  const world = await new World().open();
  await world.write("one", "two", "three");
  const before = await world.journal();
  await world.unresolved.look(before, signal);
  await world.bus.deleteStream(stream);
  await world.open();
  await world.write("one", "two", "another three", "four");
  const { service, info } = await world.journal();
  const { chain } = await world.endRead();
  await world.sealer.look({ service, info: { ...info, created: before.info.created } }, signal); // it is the same stream
  expect(await world.lastSeal()).toMatchObject({ chain, through: 4 });
});
