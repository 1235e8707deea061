import { expect, test } from "@jest/globals";
import { watchActivations } from "../../../control-plane/activate/watch-activations.js";
import { buildFreshness, freshnessAfterMs, runFreshness } from "../../../control-plane/freshness/freshness-loop.js";
import { rootKeySet, signActivation, signRevision, verifyFreshness } from "../../../core/wire/records.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildActivation, buildRevision, createTestKey, testMesh } from "../../support/records.js";

const { signer, publicKey } = createTestKey();

async function activate(ledger: PlainLedger): Promise<void> {
  const revision = signRevision(buildRevision(ledger.revisions.head()), testMesh, signer);
  await ledger.revisions.append(revision);
  const activation = buildActivation(ledger.activations.head(), revision);
  await ledger.activations.append(signActivation(activation, testMesh, signer));
}

test("a statement is signed, names the heads and expires after fifteen seconds", async () => {
  const ledger = new PlainLedger();
  const deps = { mesh: testMesh, ledger, signer, clock: new ManualClock(1000) };
  expect(buildFreshness(deps).body).toMatchObject({ epoch: 0, activation: undefined, revisionNumber: 0 });
  await activate(ledger);
  const { body } = verifyFreshness(buildFreshness(deps).bytes, testMesh, rootKeySet(publicKey));
  expect(body).toMatchObject({ epoch: 1, revisionNumber: 1, issuedMs: 1000, expiresMs: 16_000 });
  expect(body.activation).toBe(ledger.activations.head()?.digest);
});

test("one goes out every three seconds and soon after an activation, but not behind it; a failure does not end it", async () => {
  const ledger = new PlainLedger();
  const clock = new ManualClock();
  const sent: number[] = [];
  let fails = true;
  const publish = (_subject: string, bytes: Uint8Array) => {
    if (fails) throw new Error("NATS is away");
    sent.push(verifyFreshness(bytes, testMesh, rootKeySet(publicKey)).body.epoch);
  };
  const stop = new AbortController();
  const running = runFreshness({ mesh: testMesh, ledger, signer, publish, clock, log: silentLogger }, stop.signal);
  await settle();
  fails = false;
  await clock.advance(6000);
  expect(sent).toEqual([0, 0]);
  await activate(ledger);
  await clock.advance(freshnessAfterMs - 1);
  expect(sent).toEqual([0, 0]);
  await activate(ledger);
  await clock.advance(1);
  expect(sent).toEqual([0, 0, 2]);
  stop.abort();
  await running;
  expect(clock.sleeping).toBe(0);
});

test("a watcher gets every activation from its epoch on, in order, each once, and ends with its signal", async () => {
  const ledger = new PlainLedger();
  for (let count = 0; count < 3; count += 1) await activate(ledger);
  const stop = new AbortController();
  const seen: number[] = [];
  const watching = (async () => {
    for await (const { body } of watchActivations(ledger.activations, 2, stop.signal)) seen.push(body.epoch);
  })();
  await settle();
  expect(seen).toEqual([2, 3]);
  for (let count = 0; count < 2; count += 1) await activate(ledger);
  await settle();
  expect(seen).toEqual([2, 3, 4, 5]);
  stop.abort();
  await watching;
  const fromHead = watchActivations(ledger.activations, 0, AbortSignal.timeout(60_000));
  expect((await fromHead.next()).value?.body.epoch).toBe(5);
  await fromHead.return();
});
