/** Replacing a control plane's signing key: two keys at a time, the old one dropped only when nothing needs it. */
import { createPrivateKey, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type Authority, openAuthority } from "../../../control-plane/identity/authority.js";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import {
  createSigningKeyRotation,
  type SigningKeyRotation,
} from "../../../control-plane/trust/signing-key-rotation.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { createSigner, type Signer } from "../../../core/signature.js";
import { signActivation, signRevision, signTrust } from "../../../core/wire/records.js";
import { systemClock } from "../../../runtime/clock.js";
import { createMemoryStore, type MemoryStore, openMemoryLedger } from "../../support/memory-ledger.js";
import { buildActivation, buildRevision } from "../../support/records.js";

const mesh = "test";
const operator = { id: buildSpiffeId(mesh, "operator", "admin"), source: "127.0.0.1" };
const random = (count: number) => new Uint8Array(randomBytes(count));
let dir: string;
let store: MemoryStore;
let authority: Authority;
let ledger: Ledger;
let noted: string[];
let rotation: SigningKeyRotation;

function open(): void {
  authority = openAuthority({ dir, mesh, clock: systemClock, random });
  ledger = openMemoryLedger({ mesh, trustRoot: authority.rootPublicKey, store });
  rotation = createSigningKeyRotation({
    authority,
    ledger,
    clock: systemClock,
    audit: {
      record: async (draft) => void noted.push(`${draft.action} ${draft.outcome} ${draft.target}: ${draft.detail}`),
    },
  });
}

async function publish(message: string) {
  const revision = signRevision(buildRevision(ledger.revisions.head(), message), mesh, authority.signer);
  await ledger.revisions.append(revision);
  return revision;
}
async function activate(message: string) {
  const body = buildActivation(ledger.activations.head(), await publish(message));
  const activation = signActivation(body, mesh, authority.signer);
  await ledger.activations.append(activation);
  return activation;
}
/** The key in use now, as a thief has it who read the disk. */
function stealKey(): Signer {
  const { signingKey } = JSON.parse(readFileSync(join(dir, "identity", "authority.json"), "utf8"));
  return createSigner(createPrivateKey(signingKey));
}
const keys = () => rotation.show().keys.map(({ key }) => key.kid);

beforeEach(async () => {
  [dir, store, noted] = [mkdtempSync(join(tmpdir(), "ash-keys-")), createMemoryStore(), []];
  open();
  await ledger.trust.append(signTrust(authority.firstTrust(), mesh, authority.rootSigner));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a rotation names the successor beside the old key, activates what is active under it, and is noted", async () => {
  const { body } = await activate("one");
  const old = authority.signer.kid;
  const rotated = await rotation.rotate("yearly", operator);
  expect(rotated).toMatchObject({ previousKid: old, trustSequence: 2, epoch: 2 });
  expect(rotated.kid).toBe(authority.signer.kid);
  expect(keys().sort()).toEqual([old, rotated.kid].sort());
  const head = ledger.activations.head();
  expect(head).toMatchObject({ kid: rotated.kid, body: { revisionDigest: body.revisionDigest, author: operator.id } });
  expect(noted).toEqual([`trust ok signing key of main: ${rotated.kid} after ${old}: yearly`]);
});

test("then the old key is dropped, what it signed stays history for whoever opens the logs anew, and it signs nothing more", async () => {
  await activate("one");
  const old = authority.signer.kid;
  const stolen = stealKey();
  await rotation.rotate("", operator);
  expect((await rotation.drop(old, "stolen", operator)).body.signingKeys.map(({ kid }) => kid)).not.toContain(old);
  const late = buildRevision(ledger.revisions.head(), "by the old key");
  await expect(ledger.revisions.append(signRevision(late, mesh, stolen))).rejects.toMatchObject({ code: "denied" });
  open();
  expect(ledger.activations.list()).toHaveLength(2);
  expect(ledger.revisions.list()).toHaveLength(1);
  await activate("two");
  expect(noted.at(-1)).toBe(`trust ok signing key ${old}: dropped: stolen`);
});

test("what the old key signed before and showed only in part brings nothing once it is dropped", async () => {
  await activate("one");
  const two = await publish("two");
  await activate("three");
  const stolen = stealKey();
  const { previousKid } = await rotation.rotate("", operator);
  const hidden = signActivation(buildActivation(ledger.activations.head(), two), mesh, stolen);
  const show = (bytes: Uint8Array) => {
    store.logs.activations.push(bytes);
    for (const listener of store.listeners) listener("activations", bytes);
  };
  show(signActivation(buildActivation(hidden, two), mesh, stolen).bytes); // it waits for the one that it names
  await rotation.drop(previousKid, "stolen", operator);
  show(hidden.bytes);
  expect(ledger.activations.head()?.body.epoch).toBe(3);
  open();
  expect(ledger.activations.head()?.body.epoch).toBe(3);
});

test("a control plane that starts again signs with the successor; a rotation that a crash cut short is completed", async () => {
  await activate("one");
  const old = authority.signer.kid;
  const next = authority.signing.successor(); // on disk, and then the crash
  open();
  expect(authority.signer.kid).toBe(old);
  expect(authority.signing.hasSuccessor).toBe(true);
  expect((await rotation.rotate("", operator)).kid).toBe(next.kid);
  open();
  expect(authority.signer.kid).toBe(next.kid);
  expect(readFileSync(join(dir, "identity", "authority.json"), "utf8")).not.toContain("nextSigningKey");
});

test("cut short before it activated, it is completed by asking again, and uses no further key", async () => {
  await activate("one");
  const old = authority.signer.kid;
  const next = authority.signing.successor();
  const { body, digest } = rotation.show().trust;
  const both = [...body.signingKeys, next].sort((a, b) => (a.kid < b.kid ? -1 : 1));
  await ledger.trust.append(
    signTrust({ ...body, sequence: 2, previous: digest, signingKeys: both }, mesh, authority.rootSigner),
  );
  authority.signing.useSuccessor();
  open();
  await expect(rotation.drop(old, "", operator)).rejects.toMatchObject({
    code: "stale",
    message: expect.stringMatching(/epoch 1/),
  });
  expect(await rotation.rotate("", operator)).toMatchObject({ kid: next.kid, previousKid: old, epoch: 2 });
  await rotation.drop(old, "", operator);
});

describe("refused", () => {
  const expectStale = (act: Promise<unknown>, message: RegExp) =>
    expect(act).rejects.toMatchObject({ code: "stale", message: expect.stringMatching(message) });

  test("a second rotation while the key before is trusted, and two keys at a time are all", async () => {
    await activate("one");
    const { previousKid } = await rotation.rotate("", operator);
    await expectStale(rotation.rotate("", operator), /still trusted: drop it first/);
    expect(keys()).toHaveLength(2);
    await rotation.drop(previousKid, "", operator);
    await rotation.rotate("", operator);
  });

  test("the second of two rotations at once", async () => {
    await activate("one");
    const [one, two] = [rotation.rotate("", operator), rotation.rotate("", operator)];
    await expectStale(two, /still trusted: drop it first/);
    expect((await one).epoch).toBe(2);
    expect(keys()).toHaveLength(2);
  });

  test("dropping the key in use, the only one, one that is not there", async () => {
    const { kid } = authority.signer;
    await expectStale(rotation.drop(kid, "", operator), /is the only signing key of control plane main/);
    await expect(rotation.drop(`${kid}x`, "", operator)).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringMatching(/did you mean/),
    });
    await activate("one");
    await rotation.rotate("", operator);
    await expectStale(rotation.drop(authority.signer.kid, "", operator), /signs with it/);
    expect(noted.filter((line) => line.startsWith("trust stale"))).toHaveLength(2);
  });

  test("dropping the key of a newest revision that no activation names: others could not tell it is authentic", async () => {
    await activate("one");
    const two = await publish("two");
    const { previousKid } = await rotation.rotate("", operator);
    await expectStale(rotation.drop(previousKid, "", operator), /revision 2, the newest, which was never active/);
    expect(rotation.show().keys.find(({ key }) => key.kid === previousKid)?.keptBecause).toMatch(/revision 2/);
    const next = signActivation(buildActivation(ledger.activations.head(), two), mesh, authority.signer);
    await ledger.activations.append(next);
    await rotation.drop(previousKid, "", operator);
  });

  test("by a control plane that does not hold the root key", async () => {
    const path = join(dir, "identity", "authority.json");
    const { rootKey: _, ca, ...rest } = JSON.parse(readFileSync(path, "utf8"));
    const rootPublicKey = Buffer.from(authority.rootPublicKey).toString("base64");
    writeFileSync(path, JSON.stringify({ ...rest, rootPublicKey, ca: { certificate: ca.certificate } }));
    open();
    await expect(rotation.rotate("", operator)).rejects.toMatchObject({ code: "denied" });
    await expect(rotation.drop("x", "", operator)).rejects.toMatchObject({ code: "denied" });
  });
});
