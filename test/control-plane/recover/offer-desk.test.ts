import { beforeEach, describe, expect, test } from "@jest/globals";
import { OfferDesk } from "../../../control-plane/recover/offer-desk.js";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import { type Digest, digestOf } from "../../../core/digest.js";
import type { Activation, Revision, Signed } from "../../../core/model.js";
import { encodeOfferContent, type HeldParts, type OfferContent, parseOfferContent } from "../../../core/wire/offers.js";
import { signActivation, signRevision, signTrust } from "../../../core/wire/records.js";
import { encodeSnapshotList } from "../../../core/wire/units.js";
import { ManualClock } from "../../support/manual-clock.js";
import { openMemoryLedger } from "../../support/memory-ledger.js";
import { buildActivation, buildRevision, buildTrust, createTestKey, present, testMesh } from "../../support/records.js";

const root = createTestKey();
const key = createTestKey();
const thief = createTestKey();
const trust = signTrust(buildTrust([key]), testMesh, root.signer);
const unit = Buffer.alloc(100_000, 7);
const list = encodeSnapshotList([{ name: "payments", digest: digestOf(unit) }]);

/** Six revisions and epochs; the last revision has the list. */
const revisions: Signed<Revision>[] = [];
const activations: Signed<Activation>[] = [];
for (let number = 1; number <= 6; number += 1) {
  const body = { ...buildRevision(revisions.at(-1), `r${number}`), ...(number === 6 && { snapshot: list.digest }) };
  const revision = signRevision(body, testMesh, key.signer);
  revisions.push(revision);
  activations.push(signActivation(buildActivation(activations.at(-1), revision), testMesh, key.signer));
}

let ledger: Ledger;
let desk: OfferDesk;
beforeEach(() => {
  ledger = openMemoryLedger({ mesh: testMesh, trustRoot: root.publicKey });
  desk = new OfferDesk({ ledger, clock: new ManualClock(), mayGoPast: () => true });
});

const ref = (record: Signed<unknown>, key: number) => ({ key, digest: record.digest });

/** A proxy that holds these, and answers what is asked; `pieceBytes` at a time. */
async function offer(
  proxyId: string,
  records: { trust?: Signed<unknown>[]; activations?: Signed<Activation>[]; revisions?: Signed<Revision>[] },
  blobs: readonly Uint8Array[] = [],
  pieceBytes = 48 * 1024,
): Promise<number> {
  const all = [...(records.trust ?? []), ...(records.activations ?? []), ...(records.revisions ?? [])];
  const bytes = new Map<Digest, Uint8Array>(all.map((one) => [one.digest, one.bytes]));
  for (const blob of blobs) bytes.set(digestOf(blob), blob);
  const held: HeldParts = {
    trust: (records.trust ?? []).map((one) => ref(one, 1)),
    activations: (records.activations ?? []).map((one) => ref(one, one.body.epoch)),
    revisions: (records.revisions ?? []).map((one) => ref(one, one.body.number)),
    rollouts: [],
    blobs: blobs.map(digestOf),
  };
  let asked = 0;
  let { wanted } = await send(proxyId, { held, pieces: [], absent: [] });
  while (wanted.length > 0) {
    const [digest] = wanted;
    const data = digest === undefined ? undefined : bytes.get(digest);
    if (digest === undefined || data === undefined) throw new Error("asked for what is not held");
    asked += 1;
    for (let offset = 0; offset < data.length; offset += pieceBytes) {
      const piece = { digest, size: data.length, offset, data: data.subarray(offset, offset + pieceBytes) };
      ({ wanted } = await send(proxyId, { held: undefined, pieces: [piece], absent: [] }));
    }
  }
  return asked;
}
/** The offer as it arrives: encoded and read again. */
const send = (proxyId: string, content: OfferContent) =>
  desk.take(proxyId, parseOfferContent(encodeOfferContent(content)));

describe("an offer to a control plane that lost everything", () => {
  test("brings back trust, activations, revisions, lists and units, each asked for once, byte for byte", async () => {
    const asked = await offer("p1", { trust: [trust], activations, revisions }, [list.bytes, unit]);
    expect(asked).toBe(1 + 6 + 6 + 2);
    expect(ledger.trust.list()).toEqual([trust]);
    expect(ledger.activations.list().map(({ bytes }) => bytes)).toEqual(activations.map(({ bytes }) => bytes));
    expect(ledger.revisions.list().map(({ digest }) => digest)).toEqual(revisions.map(({ digest }) => digest));
    expect(Buffer.from((await ledger.blobs.get(digestOf(unit))) ?? []).equals(unit)).toBe(true);
    expect(await offer("p2", { trust: [trust], activations, revisions }, [list.bytes, unit])).toBe(0);
  });

  test("goes on from the oldest record that anybody has, and what others have fills in (I1)", async () => {
    await offer("p1", { trust: [trust], activations: activations.slice(3).reverse() });
    expect(ledger.activations.head()?.digest).toBe(activations[5]?.digest);
    expect(ledger.activations.missing()).toEqual([{ from: 1, to: 3 }]);
    const next = signActivation(
      buildActivation(ledger.activations.head(), present(revisions[0])),
      testMesh,
      key.signer,
    );
    expect(next.body.epoch).toBe(7);
    await ledger.activations.append(next);
    await offer("p2", { trust: [trust], activations: activations.slice(0, 2) });
    expect(ledger.activations.missing()).toEqual([{ from: 1, to: 3 }]); // 3 names 2, and nobody has shown 3
    await offer("p3", { trust: [trust], activations: activations.slice(2, 3) });
    expect(ledger.activations.missing()).toEqual([]);
    expect(ledger.activations.list().map(({ body }) => body.epoch)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("of a proxy that is behind, then of one far ahead, leaves the gap open and the head high", async () => {
    await offer("p1", { trust: [trust], activations: activations.slice(0, 2) });
    await offer("p2", { trust: [trust], activations: activations.slice(4) });
    expect(ledger.activations.head()?.body.epoch).toBe(6);
    expect(ledger.activations.missing()).toEqual([{ from: 3, to: 4 }]);
  });
});

describe("a lying proxy", () => {
  test("forges nothing: what other keys signed, or nobody, is no part of a log (I3)", async () => {
    const forged = signActivation({ ...present(activations[5]?.body), epoch: 60 }, testMesh, thief.signer);
    const foreign = signTrust(buildTrust([thief]), testMesh, thief.signer);
    await offer("p1", { trust: [foreign, trust], activations: [forged, ...activations] });
    expect(ledger.trust.list()).toEqual([trust]);
    expect(ledger.activations.head()?.digest).toBe(activations[5]?.digest);
  });

  test.each<[string, (wanted: Digest) => OfferContent["pieces"][number]]>([
    [
      "bytes that were not asked for",
      () => ({ digest: digestOf(unit), size: 3, offset: 0, data: unit.subarray(0, 3) }),
    ],
    ["bytes of another digest", (digest) => ({ digest, size: 3, offset: 0, data: unit.subarray(0, 3) })],
    ["pieces out of order", (digest) => ({ digest, size: 9, offset: 3, data: unit.subarray(0, 3) })],
    ["a record above the bound", (digest) => ({ digest, size: 2_000_000, offset: 0, data: unit.subarray(0, 3) })],
  ])("that sends %s is refused, and its offer is over", async (_name, piece) => {
    const held = { trust: [ref(trust, 1)], activations: [], revisions: [], rollouts: [], blobs: [] };
    await send("p1", { held, pieces: [], absent: [] });
    const content = { held: undefined, pieces: [piece(trust.digest)], absent: [] };
    await expect(send("p1", content)).rejects.toMatchObject({ code: "invalid_record" });
    await expect(send("p1", content)).rejects.toMatchObject({ code: "stale" });
    expect(ledger.trust.head()).toBeUndefined();
  });

  test("that says to hold what it does not is not asked again; units that no revision names are never taken", async () => {
    const held = { trust: [ref(trust, 1)], activations: [], revisions: [], rollouts: [], blobs: [digestOf(unit)] };
    expect((await send("p1", { held, pieces: [], absent: [] })).wanted).toEqual([trust.digest]);
    expect((await send("p1", { held: undefined, pieces: [], absent: [trust.digest] })).wanted).toEqual([]);
  });
});

test("a log that has records does not jump: a record beyond a gap is shown as ahead, and nothing more", async () => {
  desk = new OfferDesk({ ledger, clock: new ManualClock(), mayGoPast: () => false });
  await ledger.trust.append(trust);
  await ledger.activations.append(present(activations[0]));
  await offer("p1", { trust: [trust], activations: activations.slice(4) });
  expect(ledger.activations.head()?.body.epoch).toBe(1);
  expect(ledger.activations.ahead()?.body.epoch).toBe(6);
});

test("more than 32 offers at a time are turned away", async () => {
  const held = { trust: [ref(trust, 1)], activations: [], revisions: [], rollouts: [], blobs: [] };
  for (let one = 0; one < 32; one += 1) await send(`p${one}`, { held, pieces: [], absent: [] });
  await expect(send("late", { held, pieces: [], absent: [] })).rejects.toMatchObject({ code: "limit" });
});
