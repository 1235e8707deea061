/** Order keys with a long history since what last became of one of their writes. */
import { randomBytes } from "node:crypto";
import { expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { journalKey } from "../../../core/journal/journal-key.js";
import { encodeEntry } from "../../../core/wire/journal/entry.js";
import { journalStream, journalSubject } from "../../../core/wire/subjects.js";
import { JournalStore } from "../../../data-plane/journal/journal-store.js";
import { walkMsMax } from "../../../data-plane/journal/log-walks.js";
import type { StoredMessage, StoredQuery } from "../../../runtime/bus.js";
import { testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const current = pki.issue("bytes", "p1");
const statements = writerOf(current);
const about = {
  ...{ service: "bytes", proxyId: "p1", life: "ab".repeat(16), timeMs: 1, method: "a.B/C", user: "" },
  ...{ caller: buildSpiffeId(testMesh, "service", "shop"), revision: 1, epoch: 1, decision: "", key: "", order: "a" },
  ...{ deadlineMs: 0, traceId: "", fields: [], request: Buffer.from("request"), afterVoid: 0, confirms: [] },
  outcome: undefined,
};
const key = journalKey(about);

function messageAt(sequence: number, data: Uint8Array, headers: Readonly<Record<string, string>>): StoredMessage {
  const subject = journalSubject("bytes", "entry", key);
  const origin = { stream: journalStream("bytes"), subject };
  const header = (name: string) => headers[name];
  return { sequence, subject, data, storedMs: Date.now(), relayed: false, origin, header };
}

/** Entries of one order key, each of which expects the one before; `garbage`: so many messages before them are none. */
function logOf(entries: number, garbage = 0): readonly StoredMessage[] {
  const log = Array.from({ length: garbage }, (_, at) => messageAt(at + 1, Buffer.from("garbage"), {}));
  for (let each = 0; each < entries; each += 1) {
    const expected = each === 0 ? 0 : log.length;
    const bytes = encodeEntry({ ...about, nonce: randomBytes(16), expected });
    log.push(messageAt(log.length + 1, bytes, statements.sign("journal", bytes)));
  }
  return log;
}

function storeOf(log: readonly StoredMessage[], readMs: number): { readonly store: JournalStore; reads: () => number } {
  let [nowMs, reads] = [0, 0];
  const bus = {
    append: async () => 0,
    directGet: async (_stream: string, query: StoredQuery) => {
      reads += 1;
      nowMs += readMs;
      return "nextOf" in query && query.nextOf.includes(".entry.") ? log[query.from - 1] : undefined;
    },
  };
  const clock = { nowMs: () => Date.now(), monotonicMs: () => nowMs, sleep: async () => {} };
  const identity = { current, onRotate: () => () => {} };
  const known = { statements, reader: pki.reader(), keys: () => new Map(), clock, random: randomBytes };
  return { store: new JournalStore({ bus, identity, ...known }, "bytes"), reads: () => reads };
}

test("the head of a key with 2500 entries of which nothing became is the last one", async () => {
  const { store } = storeOf(logOf(2500), 0);
  expect(await store.findHead(key)).toBe(2500);
});

test("3000 messages that are no records are passed over", async () => {
  const { store } = storeOf(logOf(2, 3000), 0);
  expect(await store.findHead(key)).toBe(3002);
});

test("a walk that takes too long fails, and the next one goes on where it was", async () => {
  const { store, reads } = storeOf(logOf(150), walkMsMax / 100);
  await expect(store.findHead(key)).rejects.toMatchObject({ code: "unavailable" });
  const before = reads();
  expect(await store.findHead(key)).toBe(150);
  expect(reads() - before).toBeLessThan(60);
});
