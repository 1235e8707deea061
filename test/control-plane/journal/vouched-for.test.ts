import { expect, test } from "@jest/globals";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { renderVouchedFor, vouchedFor } from "../../../control-plane/journal/vouched-for.js";
import { digestOf } from "../../../core/digest.js";
import { importedHeader, signImported } from "../../../core/wire/journal/imported.js";
import { signResolution } from "../../../core/wire/journal/resolution.js";
import { journalSubject } from "../../../core/wire/subjects.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { buildTrust, createTestKey, testMesh } from "../../support/records.js";

const [old, other] = [createTestKey(), createTestKey()];
const trust = { body: buildTrust([old, other]) };
const signal = new AbortController().signal;

async function journal(service: string) {
  const bus = new MemoryBroker().connect();
  await bus.createStream(journalSpec({ service, rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
  const subject = journalSubject(service, "entry", "k");
  let sequence = 0;
  return {
    bus,
    async imported({ signer }: typeof old): Promise<void> {
      sequence += 1;
      const message = { sequence, subject, statement: "", data: Buffer.from(`entry ${sequence}`), storedMs: 5 };
      const headers = { [importedHeader]: signImported(service, message, testMesh, signer) };
      await bus.append(subject, message.data, { headers });
    },
    async resolved({ signer }: typeof old): Promise<void> {
      const body = {
        ...{
          service,
          entry: 1,
          entryDigest: digestOf(Buffer.from("entry 1")),
          code: 0,
          operator: "ann",
          reason: "seen",
        },
        ...{ timeMs: 5, outcome: "applied" as const, message: "" },
      };
      const { bytes } = signResolution(body, testMesh, signer);
      await bus.append(journalSubject(service, "resolution", "k"), bytes);
    },
    written: () => bus.append(subject, Buffer.from("written after the import")),
    found: (kid: string, until = signal) => vouchedFor({ bus, mesh: testMesh, trust }, kid, until),
    /** The same, where no more than `readMax` messages are read. */
    among: (readMax: number, kid: string) => vouchedFor({ bus, mesh: testMesh, trust, readMax }, kid, signal),
  };
}

test("what a key alone vouches for is counted by journal: imported messages and operators' words", async () => {
  const ledger = await journal("ledger");
  await ledger.imported(other);
  await ledger.imported(old);
  await ledger.imported(old);
  await ledger.written();
  await ledger.resolved(old);
  const found = await ledger.found(old.signer.kid);
  expect(found).toEqual([{ service: "ledger", imported: 2, lastImported: 3, resolutions: 1, unreadAfter: 0 }]);
  expect(found.map(renderVouchedFor)).toEqual([
    "the journal of ledger: 2 imported messages up to sequence 3, 1 write that operators resolved",
  ]);
  expect(await ledger.found(other.signer.kid)).toMatchObject([{ imported: 1, lastImported: 1, resolutions: 0 }]);
});

test("what was not read of a long import may be the key's, also where all that was read is another's", async () => {
  const ledger = await journal("ledger");
  for (const key of [other, other, old]) await ledger.imported(key);
  await ledger.written();
  const found = await ledger.among(2, old.signer.kid);
  expect(found).toEqual([{ service: "ledger", imported: 0, lastImported: 0, resolutions: 0, unreadAfter: 2 }]);
  expect(found.map(renderVouchedFor)).toEqual([
    "the journal of ledger: perhaps imported messages after sequence 2, which were not read",
  ]);
  expect(await ledger.among(2, other.signer.kid)).toMatchObject([{ imported: 2, unreadAfter: 2 }]);
  expect(await ledger.among(3, old.signer.kid)).toMatchObject([{ imported: 1, unreadAfter: 0 }]);
  expect(await ledger.among(2, createTestKey().signer.kid)).toEqual([]); // nobody trusts it
});

test("a key that vouches for nothing, or that nobody trusts, has nothing to undo", async () => {
  const ledger = await journal("ledger");
  await ledger.written();
  expect(await ledger.found(old.signer.kid)).toEqual([]);
  await ledger.resolved(other);
  expect(await ledger.found("unknown")).toEqual([]);
});

test("who asks and leaves before all was read is not told that there is nothing", async () => {
  const ledger = await journal("ledger");
  await ledger.imported(old);
  await expect(ledger.found(old.signer.kid, AbortSignal.abort())).rejects.toMatchObject({ code: "unavailable" });
});
