import { expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { AshlarError } from "../../../core/errors.js";
import { type StatementKind, statementHeader } from "../../../core/wire/statement.js";
import { buildBatch, splitPlace } from "../../../core/wire/statement-batch.js";
import { TurnSigner } from "../../../data-plane/journal/turn-signer.js";
import { messageOf, StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const subject = "ashlar.journal.ledger.entry.u";
const records = ["a", "b", "c", "d", "e"].map((text) => Buffer.from(`record ${text}`));

/** A signer of one proxy, and the kinds of what it signed. */
function openSigner() {
  const writer = writerOf(pki.issue("ledger", "p1"));
  const kinds: StatementKind[] = [];
  const sign = (kind: StatementKind, body: Uint8Array) => {
    kinds.push(kind);
    return writer.sign(kind, body);
  };
  return { signer: new TurnSigner({ sign }), kinds, writer };
}

const signTogether = (signer: TurnSigner) => Promise.all(records.map((bytes) => signer.sign(bytes, digestOf(bytes))));
const read = (data: Uint8Array, headers: Readonly<Record<string, string>>, reader = pki.reader()) =>
  reader.readJournal("ledger", messageOf(subject, data, headers), Date.now());

test("records of one turn have one signature, and each holds without the others", async () => {
  const { signer, kinds } = openSigner();
  const headers = await signTogether(signer);
  expect(kinds).toEqual(["journal-batch"]);
  for (const [at, data] of records.entries())
    expect(read(data, headers[at] ?? {}).writer).toEqual({ service: "ledger", proxyId: "p1" });
});

test("a record that is alone in its turn is signed by itself", async () => {
  const { signer, kinds } = openSigner();
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = records;
  const headers = await signer.sign(first, digestOf(first));
  await signer.sign(second, digestOf(second));
  expect(kinds).toEqual(["journal", "journal"]);
  expect(splitPlace(headers[statementHeader] ?? "").place).toBeUndefined();
  expect(read(first, headers).writer.proxyId).toBe("p1");
});

test("what was changed, has another's place, or is of another batch does not exist, also after the others were read", async () => {
  const { signer } = openSigner();
  const [headers, others] = [await signTogether(signer), await signTogether(signer)];
  const [first = {}, second = {}] = headers;
  const reader = pki.reader();
  for (const [at, data] of records.entries()) read(data, headers[at] ?? {}, reader);
  const [data = Buffer.alloc(0)] = records;
  expect(() => read(Buffer.from("record x"), first, reader)).toThrow("the signature does not hold");
  expect(() => read(data, second, reader)).toThrow("the signature does not hold");
  const moved = `${splitPlace(others[0]?.[statementHeader] ?? "").statement}.${splitPlace(second[statementHeader] ?? "").place}`;
  expect(() => read(data, { [statementHeader]: moved }, reader)).toThrow("the signature does not hold");
  expect(() => read(data, { [statementHeader]: `${first[statementHeader]}AA` }, reader)).toThrow("place in a batch");
});

test("the signature of a batch signs no record, and that of a record no batch", async () => {
  const { writer } = openSigner();
  const { body, places } = buildBatch(records.map((bytes) => Buffer.from(digestOf(bytes), "hex")));
  const [data = Buffer.alloc(0)] = records;
  expect(() => read(body, writer.sign("journal-batch", body))).toThrow("the signature does not hold");
  const single = writer.sign("journal", body)[statementHeader];
  expect(() => read(data, { [statementHeader]: `${single}.${places[0]}` })).toThrow("the signature does not hold");
});

test("a batch counts for nothing once its certificate is revoked or has expired, whatever was verified before", async () => {
  const own = new StatementPki();
  const identity = own.issue("ledger", "p1");
  const signer = new TurnSigner(writerOf(identity));
  const headers = await signTogether(signer);
  const reader = own.reader();
  const at = (atMs: number) => () =>
    reader.readJournal("ledger", messageOf(subject, records[0] as Buffer, headers[0]), atMs);
  expect(at(Date.now())().writer.proxyId).toBe("p1");
  expect(at(identity.notAfterMs + 3_600_000)).toThrow("is not valid then");
  own.revoke(identity.serial, "stolen", Date.now() - 1000);
  expect(at(Date.now())).toThrow("revoked");
});

test("only records of a journal are signed together", async () => {
  const { signer } = openSigner();
  const [first = {}] = await signTogether(signer);
  const heartbeat = messageOf("ashlar.fleet.heartbeat.ledger.p1", records[0] as Buffer, first);
  expect(() => pki.reader().hear("heartbeat", heartbeat)).toThrow();
});

test("where nothing can be signed all of them fail", async () => {
  const sign = (): never => {
    throw new AshlarError("stale", "a successor of this process makes its statements");
  };
  const signer = new TurnSigner({ sign });
  const ends = await Promise.allSettled(records.map((bytes) => signer.sign(bytes, digestOf(bytes))));
  expect(ends.map(({ status }) => status)).toEqual(records.map(() => "rejected"));
});
