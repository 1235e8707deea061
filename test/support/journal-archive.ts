/** An exported journal whose writers' certificates are valid for another hour. */
import { JournalSealer, readJournal, sealedOf } from "../../control-plane/journal/journal-sealer.js";
import { journalSpec } from "../../control-plane/journal/journal-streams.js";
import { digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import { entryMessageId, journalKey, keyIdOf } from "../../core/journal/journal-key.js";
import type { JournalMessage } from "../../core/journal/journal-verifier.js";
import type { Signed, Trust } from "../../core/model.js";
import { encodeEntry, type JournalEntry } from "../../core/wire/journal/entry.js";
import { signLetGo } from "../../core/wire/journal/let-go.js";
import { encodeOutcome } from "../../core/wire/journal/outcome.js";
import { keySetOf, signTrust } from "../../core/wire/records.js";
import { journalStream, journalSubject } from "../../core/wire/subjects.js";
import { systemClock } from "../../runtime/clock.js";
import { MemoryBroker } from "../../runtime/memory-bus.js";
import { StatementReader } from "../../runtime/statement-reader.js";
import { buildTrust, createTestKey, testMesh } from "./records.js";
import { StatementPki, writerOf } from "./statements.js";

const pki = new StatementPki();
export const archivePlane = createTestKey();
export const archivedMs = Date.now();
const identity = pki.issue("ledger", "p1");
const signing = writerOf(identity);
const signingKeys = buildTrust([archivePlane]).signingKeys;
export const archiveTrust: Signed<Trust> = signTrust({ ...pki.trust.body, signingKeys }, testMesh, archivePlane.signer);
export const archiveKeys = keySetOf(archiveTrust.body);

export const archiveReader = (): StatementReader =>
  new StatementReader({ mesh: testMesh, trusting: () => archiveTrust, clock: systemClock });

export interface Archive {
  readonly messages: readonly JournalMessage[];
  readonly end: Uint8Array;
  readonly letGo: Uint8Array;
}

export const messageIdOf = (key: string): string =>
  entryMessageId(keyIdOf({ caller: buildSpiffeId(testMesh, "service", "shop"), user: "", method, key }), 0);
const method = "bank.Ledger/Transfer";

/**
 * Builds three settled writes with the keys k1 to k3 and order key "a", at the sequences 1, 2, a seal 3, 4, 5, 6, 7.
 * `letsGo`: a record at 8 drops everything through 2.
 */
export async function makeArchive(letsGo = false): Promise<Archive> {
  let nowMs = archivedMs;
  const bus = new MemoryBroker({ nowMs: () => nowMs }).connect();
  const signal = new AbortController().signal;
  await bus.createStream(journalSpec({ service: "ledger", rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
  const clock = { nowMs: () => nowMs };
  const { signer } = archivePlane;
  const sealer = new JournalSealer({ bus, mesh: testMesh, signer, keys: () => archiveKeys, clock });
  const found = async () => {
    const info = await bus.streamInfo(journalStream("ledger"));
    if (info === undefined) throw new Error("it was made");
    return { service: "ledger", info };
  };
  let expected = 0;
  const write = async (key: string): Promise<void> => {
    nowMs += 1000;
    const entry: JournalEntry = {
      ...{ service: "ledger", proxyId: "p1", life: "ab".repeat(16), nonce: Buffer.alloc(16, key), timeMs: nowMs },
      ...{ caller: buildSpiffeId(testMesh, "service", "shop"), user: "", method, revision: 3, epoch: 4, decision: "" },
      ...{ key, order: "a", expected, afterVoid: 0, deadlineMs: 0, traceId: "", fields: [], confirms: [] },
      ...{ request: Buffer.from(`request ${key}`), outcome: undefined },
    };
    const bytes = encodeEntry(entry);
    const at = journalKey(entry);
    expected = await bus.append(journalSubject("ledger", "entry", at), bytes, {
      headers: signing.sign("journal", bytes),
    });
    const response = Buffer.from("response");
    const outcome = encodeOutcome({
      ...{ service: "ledger", proxyId: "p1", timeMs: nowMs, entry: expected, entryDigest: digestOf(bytes), code: 0 },
      ...{ head: [], trailers: [], response, responseDigest: digestOf(response), responseBytes: response.length },
      ...{ confirms: [], notForwarded: false, behind: 0 },
    });
    const headers = signing.sign("journal", outcome);
    await bus.append(journalSubject("ledger", "outcome", at), outcome, { headers });
  };
  await write("k1");
  nowMs += 31_000;
  await sealer.look(await found(), signal);
  await write("k2");
  await write("k3");
  const seal = await sealer.sealBefore("ledger", 2);
  if (seal === undefined) throw new Error("it was sealed");
  let letGo: Uint8Array = new Uint8Array();
  if (letsGo) {
    const { through, chain } = seal;
    const about = { service: "ledger", through, chain, operator: "ann", reason: "old", timeMs: nowMs };
    const all = { ...about, bucket: "all", heads: new Map(), buckets: [] };
    letGo = signLetGo(all, testMesh, signer).bytes;
    await bus.append(journalSubject("ledger", "letgo", "all"), letGo);
  }
  const { info } = await found();
  const messages: JournalMessage[] = [];
  const first = letsGo ? seal.through + 1 : 1;
  for await (const message of readJournal(bus, "ledger", first, info.lastSequence, signal))
    messages.push(sealedOf(message));
  return { messages, end: await sealer.endOf(await found(), signal), letGo };
}
