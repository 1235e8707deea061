/** A log that lost records, under any order, loss and repetition of what comes back. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { LogIndex } from "../../control-plane/store/log-index.js";
import { activationLaw } from "../../control-plane/store/log-laws.js";
import type { Activation, Signed } from "../../core/model.js";
import { rootKeySet, signActivation, signRevision } from "../../core/wire/records.js";
import { buildActivation, buildRevision, createTestKey, present, testMesh } from "../support/records.js";
import { runs } from "../support/runs.js";

const key = createTestKey();
const keys = { current: rootKeySet(key.publicKey), former: new Map() };
const revision = signRevision(buildRevision(undefined), testMesh, key.signer);
const count = 12;
const chain: Signed<Activation>[] = [];
for (let epoch = 1; epoch <= count; epoch += 1)
  chain.push(signActivation(buildActivation(chain.at(-1), revision), testMesh, key.signer));
const pick = (epoch: number): Signed<Activation> => present(chain[epoch - 1]);

const open = (begins: LogIndex<Activation>["begins"] = []): LogIndex<Activation> => {
  const index = new LogIndex(activationLaw, testMesh, begins);
  index.useKeys(keys);
  return index;
};
const epochsOf = (index: LogIndex<Activation>): number[] => index.list().map(({ body }) => body.epoch);
const missingOf = (index: LogIndex<Activation>): number[] =>
  index.missing().flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));

const someEpochs = fc.array(fc.integer({ min: 1, max: count }), { minLength: 1, maxLength: 30 });

test("the head is the highest that came back, every record is at its number, and gaps are told (I1, I2)", () => {
  fc.assert(
    fc.property(someEpochs, (epochs) => {
      const index = open();
      for (const epoch of epochs) {
        index.offer(pick(epoch).bytes);
        index.beginAhead();
        expect(index.head()?.body.epoch).toBe(
          Math.max(...epochs.slice(0, epochs.indexOf(epoch) + 1), epochsOf(index).at(-1) ?? 0),
        );
      }
      const listed = epochsOf(index);
      expect(listed).toEqual([...listed].sort((a, b) => a - b));
      expect([...listed, ...missingOf(index)].sort((a, b) => a - b)).toEqual(
        Array.from({ length: Math.max(...epochs) }, (_, i) => i + 1),
      );
      for (const record of index.list()) expect(record.digest).toBe(pick(record.body.epoch).digest);
    }),
    { numRuns: runs(300) },
  );
});

test("once all have come, in whatever order, nothing is missing, and the next number is new", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(chain, { minLength: count, maxLength: count }), (shuffled) => {
      const index = open();
      for (const { bytes } of shuffled) {
        index.offer(bytes);
        index.beginAhead();
      }
      expect(index.list()).toEqual(chain);
      expect(index.missing()).toEqual([]);
      expect(index.ahead()).toBeUndefined();
      const next = signActivation(buildActivation(index.head(), revision), testMesh, key.signer);
      expect(index.offer(next.bytes)).toMatchObject({ kind: "adopted" });
      expect(index.head()?.body.epoch).toBe(count + 1);
    }),
    { numRuns: runs(200) },
  );
});

test("read again as it was copied, with where it begins, it is the same log: a restart loses nothing", () => {
  fc.assert(
    fc.property(someEpochs, (epochs) => {
      const index = open();
      const copied = new Map<string, Uint8Array>();
      for (const epoch of epochs) {
        index.offer(pick(epoch).bytes);
        index.beginAhead();
        for (const { digest, bytes } of index.list()) copied.set(digest, bytes); // what is there already keeps its place
      }
      const again = open(index.begins);
      for (const bytes of copied.values()) again.offer(bytes, { verifiedBefore: true });
      expect(again.list()).toEqual(index.list());
      expect(again.missing()).toEqual(index.missing());
    }),
    { numRuns: runs(200) },
  );
});

test("without leave to go on past a gap, nothing beyond it is adopted", () => {
  fc.assert(
    fc.property(someEpochs, (epochs) => {
      const index = open();
      for (const epoch of epochs) index.offer(pick(epoch).bytes);
      const whole = Array.from({ length: count }, (_, i) => i + 1).findIndex((epoch) => !epochs.includes(epoch));
      expect(epochsOf(index)).toEqual(Array.from({ length: whole < 0 ? count : whole }, (_, i) => i + 1));
    }),
    { numRuns: runs(200) },
  );
});

test("a rival of a lost record that was signed after the loss gives way to the record that the fleet goes on from", () => {
  const index = open();
  for (const epoch of [1, 2]) index.offer(pick(epoch).bytes);
  const rival = signActivation({ ...pick(3).body, reason: "anew" }, testMesh, key.signer);
  index.offer(rival.bytes);
  expect(index.head()?.digest).toBe(rival.digest);
  index.offer(pick(4).bytes);
  index.beginAhead();
  expect(epochsOf(index)).toEqual([1, 2, 4]);
  index.offer(pick(3).bytes);
  expect(index.list()).toEqual(chain.slice(0, 4));
});
