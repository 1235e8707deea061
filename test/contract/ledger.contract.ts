/** What every Ledger promises; run on memory, on one server and on a cluster. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Ledger } from "../../control-plane/store/ledger.js";
import { digestOf, parseDigest } from "../../core/digest.js";
import type { Revision, Signed } from "../../core/model.js";
import { gatesDefault } from "../../core/rollout/gates.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import { parseStages } from "../../core/rollout/stages.js";
import { signActivation, signRevision, signTrust } from "../../core/wire/records.js";
import { signRollout } from "../../core/wire/rollouts.js";
import {
  buildActivation,
  buildRevision,
  buildTrust,
  createTestKey,
  type TestKey,
  testAuthor,
  testMesh,
} from "../support/records.js";
import { untilTrue } from "../support/until.js";

export interface LedgerFixture {
  readonly root: TestKey;
  /** Another control plane's ledger on the same store. */
  open(): Promise<Ledger>;
  close(): Promise<void>;
}

export function describeLedger(
  name: string,
  start: () => Promise<LedgerFixture>,
  options: { readonly rounds: number },
): void {
  describe(name, () => {
    let fixture: LedgerFixture;
    let one: Ledger;
    let two: Ledger;
    const key = createTestKey();
    const stranger = createTestKey();
    const sign = (revision: Revision, by = key): Signed<Revision> => signRevision(revision, testMesh, by.signer);

    beforeAll(async () => {
      fixture = await start();
      one = await fixture.open();
      two = await fixture.open();
      await one.trust.append(signTrust(buildTrust([key]), testMesh, fixture.root.signer));
      await untilTrue(() => two.trust.head() !== undefined);
    });
    afterAll(async () => {
      await one?.close();
      await two?.close();
      await fixture?.close();
    });

    test("a record is visible here when its append resolves, and to others soon", async () => {
      const heard: number[] = [];
      const off = two.revisions.onRecord((record) => heard.push(record.body.number));
      const first = sign(buildRevision(one.revisions.head(), "first"));
      await one.revisions.append(first);
      expect(one.revisions.head()).toEqual(first);
      expect(one.revisions.find(1)).toEqual(first);
      await untilTrue(() => two.revisions.head()?.digest === first.digest && heard.length > 0);
      expect(heard).toEqual([1]);
      off();
    });

    test("I1: what does not follow the head is refused with conflict", async () => {
      const head = one.revisions.head();
      for (const wrong of [
        buildRevision(undefined, "again"),
        { ...buildRevision(head), number: 9 },
        { ...buildRevision(head), parent: digestOf(Buffer.from("x")) },
      ]) {
        await expect(one.revisions.append(sign(wrong))).rejects.toMatchObject({ code: "conflict" });
      }
      expect(one.revisions.head()).toEqual(head);
    });

    test("a record of a key that trust does not name is refused", async () => {
      const wrong = sign(buildRevision(one.revisions.head()), stranger);
      await expect(one.revisions.append(wrong)).rejects.toMatchObject({ code: "denied" });
    });

    test("plans of rollouts are a log of their own in the stream of activations, and neither disturbs the other", async () => {
      const { rollouts, activations } = one;
      const head = one.revisions.head() as Signed<Revision>;
      const candidate = { number: head.body.number, digest: head.digest };
      const plan = (previous: Signed<Rollout> | undefined, reason: string): Signed<Rollout> => {
        const base = { number: 1, digest: digestOf(Buffer.from("base")) };
        const body = { number: (previous?.body.number ?? 0) + 1, previous: previous?.digest, candidate, base };
        const rest = { holdMs: 1, gates: gatesDefault, author: testAuthor, reason, timeMs: 1 };
        return signRollout({ ...body, ...rest, stages: parseStages("1,100%") }, testMesh, key.signer);
      };
      const first = plan(undefined, "first");
      await rollouts.append(first);
      const activation = signActivation(buildActivation(activations.head(), head), testMesh, key.signer);
      await activations.append(activation);
      await untilTrue(() => two.rollouts.head()?.digest === first.digest && two.activations.head() !== undefined);
      expect(two.activations.list().map((each) => each.digest)).toEqual(activations.list().map((each) => each.digest));
      const outcomes = await Promise.allSettled([
        one.rollouts.append(plan(first, "one")),
        two.rollouts.append(plan(first, "two")),
        two.activations.append(signActivation(buildActivation(activation, head), testMesh, key.signer)),
      ]);
      expect(outcomes.slice(0, 2).filter((each) => each.status === "fulfilled")).toHaveLength(1);
      expect(outcomes[2]?.status).toBe("fulfilled");
      await untilTrue(() => one.rollouts.list().length === 2 && two.rollouts.list().length === 2);
      await untilTrue(() => one.activations.head()?.digest === two.activations.head()?.digest);
      const again = await fixture.open();
      expect(again.rollouts.list()).toEqual(one.rollouts.list());
      expect(again.activations.list()).toEqual(one.activations.list());
      expect(again.problems()).toEqual([]);
      await again.close();
    });

    test("of many writers at one head exactly one wins, in every round", async () => {
      for (let round = 0; round < options.rounds; round += 1) {
        const head = one.revisions.head();
        await untilTrue(() => two.revisions.head()?.digest === head?.digest);
        const outcomes = await Promise.allSettled(
          Array.from({ length: 6 }, (_, i) =>
            [one, two][i % 2]?.revisions.append(sign(buildRevision(head, `round ${round} writer ${i}`))),
          ),
        );
        const lost = outcomes.filter((item) => item.status === "rejected");
        expect(outcomes.length - lost.length).toBe(1);
        for (const item of lost) expect(item).toMatchObject({ reason: { code: "conflict" } });
        await untilTrue(() => one.revisions.head()?.digest === two.revisions.head()?.digest);
        expect(one.revisions.head()?.body.number).toBe((head?.body.number ?? 0) + 1);
      }
    });

    test("activations have a log of their own", async () => {
      const revision = one.revisions.head();
      if (revision === undefined) throw new Error("no revision");
      const first = signActivation(buildActivation(one.activations.head(), revision), testMesh, key.signer);
      await one.activations.append(first);
      await untilTrue(() => two.activations.head()?.digest === first.digest);
      const next = signActivation(buildActivation(first, revision), testMesh, key.signer);
      await two.activations.append(next);
      await untilTrue(() => one.activations.head()?.digest === next.digest);
    });

    test("a list that was taken does not change", async () => {
      const list = one.revisions.list();
      const { length } = list;
      await one.revisions.append(sign(buildRevision(one.revisions.head(), "later")));
      expect(list).toHaveLength(length);
      expect(one.revisions.list()).toHaveLength(length + 1);
    });

    test("a ledger that is opened later finds everything, verified", async () => {
      const three = await fixture.open();
      expect(three.revisions.list()).toEqual(one.revisions.list());
      expect(three.activations.list()).toEqual(one.activations.list());
      expect(three.trust.list()).toEqual(one.trust.list());
      expect(three.problems()).toEqual([]);
      await three.close();
    });

    test("blobs come back by their digest, from anybody, and storing again is harmless", async () => {
      for (const bytes of [new Uint8Array(0), Buffer.from("unit"), Buffer.alloc(1_200_000, 7)]) {
        const digest = await one.blobs.put(new Uint8Array(bytes));
        expect(digest).toBe(digestOf(bytes));
        expect(await two.blobs.put(new Uint8Array(bytes))).toBe(digest);
        const got = await (await fixture.open().then(keep)).blobs.get(digest);
        expect(got !== undefined && Buffer.compare(got, bytes)).toBe(0);
      }
      expect(await one.blobs.get(parseDigest("ab".repeat(32)))).toBeUndefined();
      for (const ledger of kept) await ledger.close();
    });

    test("after a key was dropped its records stay history, and it signs nothing new", async () => {
      const successor = createTestKey();
      const trust = buildTrust([successor], one.trust.head());
      await one.trust.append(signTrust(trust, testMesh, fixture.root.signer));
      const late = sign(buildRevision(one.revisions.head(), "late"));
      await expect(one.revisions.append(late)).rejects.toMatchObject({ code: "denied" });
      const next = sign(buildRevision(one.revisions.head(), "under the successor"), successor);
      await one.revisions.append(next);
      const opened = await fixture.open();
      expect(opened.revisions.list()).toEqual(one.revisions.list());
      await opened.close();
      await untilTrue(() => two.revisions.head()?.digest === next.digest);
    });

    const kept: Ledger[] = [];
    const keep = (ledger: Ledger): Ledger => {
      kept.push(ledger);
      return ledger;
    };
  });
}
