import { expect, test } from "@jest/globals";
import { heldMax } from "../../../core/wire/offers.js";
import { signRevision } from "../../../core/wire/records.js";
import { KeptRecords } from "../../../data-plane/recover/kept-records.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildRevision, createTestKey, testMesh } from "../../support/records.js";
import { MemoryFolder } from "../sync/memory-folder.js";

const { signer } = createTestKey();
const record = (number: number) =>
  signRevision({ ...buildRevision(undefined), number, message: `r${number}` }, testMesh, signer);
const seen = { epoch: 5, trustSequence: 1, revision: 9 };

test("records are written behind, found again after a restart, and told newest first", async () => {
  const [folder, clock] = [new MemoryFolder(), new ManualClock()];
  const kept = await KeptRecords.open(folder, clock);
  const records = [1, 3, 2].map(record);
  for (const one of records) kept.note("revisions", one.body.number, one);
  expect(folder.files.size).toBe(0); // an activation waits for none of this
  await clock.advance(1000);
  await kept.close();
  const again = await KeptRecords.open(folder, clock);
  expect(again.held("revisions", seen).map(({ key }) => key)).toEqual([3, 2, 1]);
  for (const { digest, bytes } of records) expect(await again.read(digest)).toEqual(bytes);
});

test("what was never followed is not offered: a jump that verified is above what was seen", async () => {
  const kept = await KeptRecords.open(new MemoryFolder(), new ManualClock());
  for (const epoch of [4, 5, 1_000_000]) kept.note("activations", epoch, record(epoch));
  expect(kept.held("activations", seen).map(({ key }) => key)).toEqual([5, 4]);
});

test("a second record of a number is contested, as long as it is kept and after a restart", async () => {
  const [folder, clock] = [new MemoryFolder(), new ManualClock()];
  const kept = await KeptRecords.open(folder, clock);
  const [one, rival, other] = [record(1), record(2), record(3)];
  for (const each of [one, one, other]) kept.note("trust", each === other ? 2 : 1, each);
  kept.note("activations", 1, rival); // another log
  expect(kept.contested).toBe(0);
  kept.note("trust", 1, rival);
  expect(kept.contested).toBe(0); // it is known already, under the number of the other log
  kept.note("trust", 1, record(4));
  expect(kept.contested).toBe(1);
  await clock.advance(1000);
  await kept.close();
  const again = await KeptRecords.open(folder, clock);
  expect(again.contested).toBe(1);
  for (let number = 3; number <= heldMax.trust + 3; number += 1) again.note("trust", number, record(100 + number));
  await clock.advance(1000);
  again.note("trust", 1, record(5)); // both of this number had made room
  expect(again.contested).toBe(1);
  await again.close();
});

test("the oldest make room, and a full disk is told and tried again (I8)", async () => {
  const [folder, clock] = [new MemoryFolder(), new ManualClock()];
  const kept = await KeptRecords.open(folder, clock);
  folder.isFull = true;
  for (let number = 1; number <= heldMax.trust + 10; number += 1) kept.note("trust", number, record(number));
  await clock.advance(1000);
  expect(kept.trouble).toMatch(/no space left/);
  folder.isFull = false;
  await clock.advance(30_000);
  expect(kept.trouble).toBeUndefined();
  expect(folder.files.size).toBe(heldMax.trust);
  const all = { ...seen, trustSequence: 1000 };
  expect(
    kept
      .held("trust", all)
      .map(({ key }) => key)
      .at(-1),
  ).toBe(11);
  await kept.close();
});
