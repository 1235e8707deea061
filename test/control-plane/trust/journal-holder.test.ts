/** The holder of private fields, at a control plane: in the trust log, audited, and refused where it is no key. */
import { generateKeyPairSync } from "node:crypto";
import { beforeEach, expect, test } from "@jest/globals";
import { createJournalHolders, fingerprintOf } from "../../../control-plane/trust/journal-holder.js";
import type { Trust } from "../../../core/model.js";
import { createSigner } from "../../../core/signature.js";
import { mayTrust } from "../../../core/trust.js";
import { signTrust } from "../../../core/wire/records.js";
import { testHolder } from "../../support/holder.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLog } from "../../support/plain-ledger.js";
import { buildTrust, createTestKey } from "../../support/records.js";

const mesh = "test";
const operator = { id: "spiffe://test/operator/admin", source: "127.0.0.1" };
const { publicKey } = testHolder;
let noted: string[];

async function open(holdsRoot = true) {
  const rootSigner = createSigner(generateKeyPairSync("ed25519").privateKey);
  const trust = new PlainLog<Trust>(mayTrust);
  await trust.append(signTrust(buildTrust([createTestKey()]), mesh, rootSigner));
  return createJournalHolders({
    authority: { mesh, holdsRoot, rootSigner },
    ledger: { trust },
    audit: {
      record: async ({ action, target, outcome, detail }) =>
        void noted.push([action, target, outcome, detail].join(" | ")),
    },
    clock: new ManualClock(),
  });
}

beforeEach(() => {
  noted = [];
});

test("is set, set again without a record, and noted by its fingerprint", async () => {
  const holders = await open();
  expect(holders.current()).toBeUndefined();
  expect(await holders.set(publicKey, operator)).toBe(true);
  expect(await holders.set(publicKey, operator)).toBe(false);
  expect(holders.current()).toMatchObject({ publicKey });
  const line = `trust | holder of private fields | ok | ${fingerprintOf(publicKey)}`;
  expect(noted).toEqual([line, line]);
});

test("is refused where it is no key, and at a control plane without the root key", async () => {
  const holders = await open();
  await expect(holders.set("x", operator)).rejects.toMatchObject({ code: "invalid_argument" });
  expect(holders.current()).toBeUndefined();
  await expect((await open(false)).set(publicKey, operator)).rejects.toMatchObject({ code: "denied" });
});
