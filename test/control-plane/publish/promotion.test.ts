/** Two meshes: what one exports, the other publishes. */
import { beforeEach, expect, test } from "@jest/globals";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { createPolicyReader } from "../../../control-plane/publish/policy-reader.js";
import { createPublisher } from "../../../control-plane/publish/publisher.js";
import { SnapshotStore } from "../../../control-plane/publish/snapshot-store.js";
import { digestOf } from "../../../core/digest.js";
import { buildSpiffeId } from "../../../core/identity.js";
import type { Heartbeat } from "../../../core/model.js";
import { exportFiles } from "../../../core/snapshot/export-files.js";
import { parseBundle } from "../../../core/wire/bundle.js";
import { signTrust } from "../../../core/wire/records.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildTrust, createTestKey } from "../../support/records.js";

const shop = (...callers: string[]) => `
kind: Service
name: payments
---
{kind: Service, name: checkout}
---
{kind: Service, name: cart}
---
{kind: Authorization, name: callers, service: payments, allow: [{from: [${callers.join(", ")}], methods: ["*"]}]}
---
{kind: Assertion, name: never-cart, never: {from: [cart], to: payments, methods: ["a.B/Admin"]}}
`;

class Mesh {
  readonly ledger = new PlainLedger();
  readonly entries: AuditDraft[] = [];
  readonly heartbeats = new Map<string, Heartbeat>();
  readonly snapshots = new SnapshotStore(this.ledger.blobs);
  readonly root = createTestKey();
  readonly key = createTestKey();
  readonly name: string;
  readonly publisher;
  readonly policy;

  constructor(name: string) {
    this.name = name;
    this.publisher = createPublisher({
      mesh: name,
      revisions: this.ledger.revisions,
      snapshots: this.snapshots,
      knownVersions: () => new Map(),
      knownIssuers: () => new Set<string>(),
      signer: this.key.signer,
      audit: { record: async (draft) => void this.entries.push(draft) },
      clock: new ManualClock(),
    });
    this.policy = createPolicyReader({
      mesh: name,
      rootPublicKey: this.root.publicKey,
      ledger: this.ledger,
      snapshots: this.snapshots,
      publisher: this.publisher,
      heartbeatOf: (id: string) => this.heartbeats.get(id),
    });
  }

  get caller() {
    return { id: buildSpiffeId(this.name, "operator", "ann"), source: "127.0.0.1:5000" };
  }

  async open(): Promise<this> {
    await this.ledger.trust.append(signTrust(buildTrust([this.key]), this.name, this.root.signer));
    return this;
  }

  publish(content: string, allowEmpty = false) {
    const files = [{ name: "shop.yaml", content }];
    return this.publisher.publish({ files, message: "why", parent: undefined, allowEmpty }, this.caller);
  }

  import(
    bundle: Uint8Array,
    parts: { message?: string; parent?: number; rootHash?: string; allowEmpty?: boolean } = {},
  ) {
    const options = { bundle, message: "", parent: undefined, rootHash: "", ...parts };
    return this.publisher.importBundle(options, this.caller);
  }
}

let staging: Mesh;
let production: Mesh;
beforeEach(async () => {
  staging = await new Mesh("staging.test").open();
  production = await new Mesh("production.test").open();
});

test("an import has the very bytes and digest, under the number, author and signature of its own mesh", async () => {
  await staging.publish(shop("cart").replace(/---\n.*Assertion.*\n/, ""));
  await staging.publish(shop("checkout"));
  const revision = staging.policy.find(2);
  const bundle = await staging.policy.bundle(revision);
  const { created, findings, revision: imported } = await production.import(bundle);
  expect([created, findings]).toEqual([true, []]);
  expect(imported?.body).toMatchObject({
    number: 1,
    author: production.caller.id,
    snapshot: revision.body.snapshot,
    message: "imported from mesh staging.test, revision 2",
  });
  const units = async ({ snapshots }: Mesh) =>
    (await snapshots.load(revision.body.snapshot)).units.map(({ digest, bytes }) => [digest, Buffer.from(bytes)]);
  expect(await units(production)).toEqual(await units(staging));
  expect(await production.import(bundle)).toMatchObject({ created: false });
  expect(production.entries.map(({ action, target, outcome }) => [action, target, outcome])).toEqual([
    ["publish", "revision 1", "ok"],
    ["publish", "revision 1", "ok"],
  ]);
});

test("a bundle without any object is refused, unless that is allowed", async () => {
  await staging.publish("", true);
  const bundle = await staging.policy.bundle(staging.policy.find(1));
  await production.publish(shop("cart").replace(/---\n.*Assertion.*\n/, ""));
  await expect(production.import(bundle)).rejects.toMatchObject({ code: "invalid_argument" });
  expect(production.ledger.revisions.head()?.body.number).toBe(1);
  expect(await production.import(bundle, { allowEmpty: true })).toMatchObject({ created: true });
});

test("the same revision gives the same bundle, also after the trust log went on", async () => {
  await staging.publish(shop("checkout"));
  const before = await staging.policy.bundle(staging.policy.find(1));
  const { trust } = staging.ledger;
  await trust.append(
    signTrust(buildTrust([staging.key, createTestKey()], trust.head()), staging.name, staging.root.signer),
  );
  expect(Buffer.compare(await staging.policy.bundle(staging.policy.find(1)), before)).toBe(0);
});

test("files of an export make no new revision", async () => {
  await staging.publish(shop("checkout"));
  const { snapshot } = parseBundle(await staging.policy.bundle(staging.policy.find(1)));
  const files = exportFiles(
    snapshot.units.map(({ unit }) => unit),
    snapshot.list.digest,
  );
  const again = await staging.publisher.publish({ files, message: "", parent: undefined }, staging.caller);
  expect([again.created, again.findings]).toEqual([false, []]);
});

test("a bundle that was altered, or comes from another mesh than asked for, is refused and nothing is stored", async () => {
  await staging.publish(shop("checkout"));
  const bundle = await staging.policy.bundle(staging.policy.find(1));
  const stored = production.ledger.stored.size;
  const altered = Uint8Array.from(bundle);
  altered[bundle.length - 5] = (altered[bundle.length - 5] ?? 0) ^ 1;
  await expect(production.import(altered)).rejects.toMatchObject({ code: "invalid_record" });
  await expect(production.import(bundle, { rootHash: digestOf(new Uint8Array(3)) })).rejects.toMatchObject({
    code: "denied",
  });
  await expect(production.import(bundle, { parent: 4 })).rejects.toMatchObject({ code: "conflict" });
  expect(production.ledger.stored.size).toBe(stored);
  expect(production.ledger.revisions.head()).toBeUndefined();
  const { rootHash } = parseBundle(bundle);
  expect(await production.import(bundle, { rootHash })).toMatchObject({ created: true });
});

test("a bundle is checked as policy is: what does not hold in this mesh is found before anything is stored", async () => {
  await staging.publish(shop("checkout", "spiffe://production.test/service/unknown"));
  const bundle = await staging.policy.bundle(staging.policy.find(1));
  const { created, findings, revision } = await production.import(bundle);
  expect([created, revision]).toEqual([false, undefined]);
  expect(findings).toMatchObject([{ severity: "error", file: "bundle" }]);
  expect(findings[0]?.message).toContain('there is no service "unknown"');
  expect(production.ledger.stored.size).toBe(0);
});

test("a diff takes bundles and what a proxy runs, and equal digests are said", async () => {
  await staging.publish(shop("checkout"));
  await production.import(await staging.policy.bundle(staging.policy.find(1)));
  await production.publish(
    shop("cart", "checkout").replace("a.B/Admin", "b.B/Admin").replace("cart, checkout", "checkout"),
  );
  const bytes = await staging.policy.bundle(staging.policy.find(1));
  const same = await production.policy.diff({ kind: "bundle", bytes }, { kind: "revision", number: 1 });
  expect(same.fromSnapshot).toBe(same.toSnapshot);
  expect(same.objects).toEqual([]);
  const first = production.policy.find(1);
  const running = { evaluatingRevision: 1, evaluatingDigest: first.digest } as Heartbeat;
  production.heartbeats.set("payments-1", running);
  const late = await production.policy.diff({ kind: "proxy", id: "payments-1" }, { kind: "newest" });
  expect(late.objects.map(({ name }) => name)).toEqual(["never-cart"]);
  expect(late.fromSnapshot).not.toBe(late.toSnapshot);
  production.heartbeats.set("payments-2", { evaluatingRevision: 0 } as Heartbeat);
  const diff = (id: string) => production.policy.diff({ kind: "proxy", id }, { kind: "newest" });
  await expect(diff("payments-2")).rejects.toMatchObject({ code: "stale" });
  await expect(diff("nobody")).rejects.toMatchObject({ code: "not_found" });
});
