import { expect, test } from "@jest/globals";
import { headEntries, headEveryMs, runAuditHeads } from "../../../control-plane/audit/audit-heads.js";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { digestOf } from "../../../core/digest.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { publicKeyFromBytes } from "../../../core/signature.js";
import { verifyAuditHead } from "../../../core/wire/audit-head.js";
import { ManualClock } from "../../support/manual-clock.js";
import { createTestKey, testMesh } from "../../support/records.js";

const key = createTestKey();
const keys = new Map([[key.signer.kid, publicKeyFromBytes(key.publicKey)]]);

test("a head is signed after so many entries, after so long, and at the end; never over a head alone", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const noted: AuditDraft[] = [];
  let [sequence, action] = [0, "publish"];
  const add = (count: number): void => {
    [sequence, action] = [sequence + count, "publish"];
  };
  const log = {
    head: () => (sequence === 0 ? undefined : { sequence, digest: digestOf(Buffer.from(String(sequence))), action }),
    record: async (draft: AuditDraft) => {
      noted.push(draft);
      [sequence, action] = [sequence + 1, "head"];
    },
  };
  const actor = buildSpiffeId(testMesh, "control-plane", "one");
  const done = runAuditHeads({ mesh: testMesh, actor, log, signer: key.signer, clock }, stop.signal);
  const targets = (): string[] => noted.map(({ target }) => target);
  await clock.advance(60_000);
  add(1);
  await clock.advance(60_000);
  expect(targets()).toEqual([]); // one entry, two minutes
  add(headEntries);
  await clock.advance(10_000);
  expect(targets()).toEqual(["entry 101"]);
  const signed = verifyAuditHead(Buffer.from(noted[0]?.detail ?? "", "latin1"), testMesh, keys);
  expect(signed).toMatchObject({ sequence: 101, entry: digestOf(Buffer.from("101")) });
  await clock.advance(2 * headEveryMs);
  expect(targets()).toHaveLength(1); // nothing but the head itself was noted
  add(1);
  await clock.advance(10_000);
  expect(targets()).toEqual(["entry 101", "entry 103"]);
  add(1);
  stop.abort();
  await clock.advance(10_000);
  await done;
  expect(targets()).toEqual(["entry 101", "entry 103", "entry 105"]);
});
