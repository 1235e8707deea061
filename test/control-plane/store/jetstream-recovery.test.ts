/** Stream and own copy are gone: what comes back is in both again, and restarts and other control planes agree. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import type { Activation, Signed } from "../../../core/model.js";
import { signActivation, signRevision, signTrust } from "../../../core/wire/records.js";
import { openTestLedger } from "../../support/jetstream-ledger.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { buildActivation, buildRevision, buildTrust, createTestKey, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";

let nats: TestNats | undefined;
const ledgers: Ledger[] = [];
const root = createTestKey();
const key = createTestKey();
const trust = signTrust(buildTrust([key]), testMesh, root.signer);
const revision = signRevision(buildRevision(undefined), testMesh, key.signer);
const chain: Signed<Activation>[] = [];
for (let epoch = 1; epoch <= 6; epoch += 1)
  chain.push(signActivation(buildActivation(chain.at(-1), revision), testMesh, key.signer));
const bytesOf = (from: number, to: number): Uint8Array[] => chain.slice(from - 1, to).map(({ bytes }) => bytes);
const epochs = ({ activations }: Ledger): number[] => activations.list().map(({ body }) => body.epoch);

async function open(on: TestNats, dir?: string): Promise<Ledger> {
  const ledger = await openTestLedger(on, root, dir);
  ledgers.push(ledger);
  return ledger;
}
afterEach(async () => {
  for (const ledger of ledgers.splice(0)) await ledger.close();
  await nats?.stop();
  nats = undefined;
});

test("a log goes on past what is lost, over restarts and for others, and takes back what comes later (I1)", async () => {
  nats = await startTestNats();
  const dir = await mkdtemp(join(nats.dir, "copy-"));
  const ledger = await open(nats, dir);
  await ledger.trust.recover([trust.bytes], true);
  expect(await ledger.activations.recover(bytesOf(4, 6), true)).toBe(3);
  expect(ledger.problems().join()).toMatch(/activations: 1 to 3 are lost/);
  const next = signActivation(buildActivation(ledger.activations.head(), revision), testMesh, key.signer);
  await ledger.activations.append(next);
  await ledger.close();

  const again = await open(nats, dir);
  const other = await open(nats); // has the stream alone
  expect([epochs(again), epochs(other)]).toEqual([
    [4, 5, 6, 7],
    [4, 5, 6, 7],
  ]);
  await again.activations.recover(bytesOf(1, 3), false);
  expect(epochs(again)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  await untilTrue(() => epochs(other).length === 7);
  expect([again.problems(), other.problems()]).toEqual([[], []]);
  expect(again.activations.list().map(({ bytes }) => bytes)).toEqual([...chain, next].map(({ bytes }) => bytes));
}, 60_000);
