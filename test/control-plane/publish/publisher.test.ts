import { beforeEach, describe, expect, test } from "@jest/globals";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { inputsAsAsked } from "../../../control-plane/publish/asked-inputs.js";
import { createPolicyReader } from "../../../control-plane/publish/policy-reader.js";
import { createPublisher } from "../../../control-plane/publish/publisher.js";
import { SnapshotStore } from "../../../control-plane/publish/snapshot-store.js";
import { zeroDigest } from "../../../core/digest.js";
import type { Heartbeat } from "../../../core/model.js";
import { signActivation, verifyRevision } from "../../../core/wire/records.js";
import { applyChanges, encodeSnapshotList } from "../../../core/wire/units.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildActivation, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const { signer, publicKey } = createTestKey();
const root = createTestKey();
const caller = { id: testAuthor, source: "127.0.0.1:5000" };
const service = (name: string) => `kind: Service\nname: ${name}\n`;
const allow = (from: string) =>
  `kind: Authorization\nname: callers\nservice: payments\nallow: [{from: [${from}], methods: ["*"]}]\n`;
const shop = (...callers: string[]) =>
  [service("payments"), service("checkout"), service("cart"), allow(callers.join(", "))].join("---\n");

class World {
  readonly ledger = new PlainLedger();
  readonly entries: AuditDraft[] = [];
  readonly snapshots = new SnapshotStore(this.ledger.blobs);
  beforeSigning = async () => {};
  readonly publisher = createPublisher({
    beforeSigning: () => this.beforeSigning(),
    mesh: testMesh,
    revisions: this.ledger.revisions,
    snapshots: this.snapshots,
    knownVersions: () => new Map(),
    knownIssuers: () => new Set<string>(),
    signer,
    audit: { record: async (draft) => void this.entries.push(draft) },
    clock: new ManualClock(),
  });
  readonly heartbeats = new Map<string, Heartbeat>();
  readonly policy = createPolicyReader({
    ...this,
    mesh: testMesh,
    rootPublicKey: root.publicKey,
    heartbeatOf: (id) => this.heartbeats.get(id),
  });

  publish(content: string, parts: { message?: string; parent?: number; allowEmpty?: boolean } = {}) {
    const files = [{ name: "shop.yaml", content }];
    return this.publisher.publish({ files, message: "why", parent: undefined, ...parts }, caller);
  }

  async activate(number: number, timeMs = 1_700_000_000_000): Promise<void> {
    const { activations, revisions } = this.ledger;
    const revision = revisions.find(number);
    if (revision === undefined) throw new Error(`no revision ${number}`);
    const activation = { ...buildActivation(activations.head(), revision), timeMs };
    await activations.append(signActivation(activation, testMesh, signer));
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

describe("publishing", () => {
  test("the first revision names the zero digest, its author and every unit, and holds under the signing key (I1)", async () => {
    const { created, revision } = await world.publish(shop("checkout"));
    expect(created).toBe(true);
    expect(revision?.body).toMatchObject({ number: 1, parent: zeroDigest, author: testAuthor, message: "why" });
    expect(revision?.body.changes.map(({ name }) => name)).toEqual(["@mesh", "cart", "checkout", "payments"]);
    const { createPublicKey } = await import("node:crypto");
    const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKey]);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    const verified = verifyRevision(revision?.bytes ?? new Uint8Array(), testMesh, new Map([[signer.kid, key]]));
    expect(verified.body).toEqual(revision?.body);
  });

  test("a change of one service changes one unit, and the changes lead from the parent's list to the new one", async () => {
    await world.publish(shop("checkout"));
    const before = world.ledger.revisions.head();
    const blobs = world.ledger.stored.size;
    const { revision } = await world.publish(shop("checkout", "cart"));
    expect(revision?.body.changes.map(({ name }) => name)).toEqual(["payments"]);
    expect(world.ledger.stored.size).toBe(blobs + 2); // the unit and the list
    const from = await world.snapshots.loadList(before?.body.snapshot ?? encodeSnapshotList([]).digest);
    expect(applyChanges(from, revision?.body.changes ?? []).digest).toBe(revision?.body.snapshot);
  });

  test("the same snapshot as the head creates nothing, however it is written", async () => {
    await world.publish(shop("checkout", "cart"));
    const { created, revision } = await world.publish(shop("cart", "checkout"));
    expect([created, revision?.body.number, world.ledger.revisions.list().length]).toEqual([false, 1, 1]);
  });

  test("with errors nothing is stored, and all findings come at once", async () => {
    const { created, revision, findings } = await world.publish(`${allow("nobody")}---\nkind: Nonsense\nname: x\n`);
    expect([created, revision, world.ledger.stored.size, world.ledger.revisions.head()]).toEqual([
      false,
      undefined,
      0,
      undefined,
    ]);
    expect(findings.filter(({ severity }) => severity === "error").length).toBeGreaterThanOrEqual(2);
    const places = findings.map(({ line, column }) => line * 1000 + column);
    expect(places).toEqual([...places].sort((a, b) => a - b)); // whatever kind of check found them
    expect(world.entries).toMatchObject([{ action: "publish", outcome: "invalid_policy" }]);
  });

  test("who loses a race is told so also where a proxy tells of the winner before the log does", async () => {
    let calls = 0;
    world.beforeSigning = async () => {
      calls += 1;
      if (calls !== 2) return;
      world.beforeSigning = async () => {}; // another control plane's revision comes while this one waits for it
      await world.publish(shop("cart"));
    };
    await expect(world.publish(shop("checkout"))).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("somebody else was first: it is revision 1"),
    });
    expect(calls).toBe(2);
  });

  const never = (from: string) => `---\nkind: Assertion\nname: s\nnever: { from: ${from}, to: payments }\n`;

  test("an assertion alone makes a revision, which renders and publishes as the same", async () => {
    await world.publish(shop("checkout"));
    const { created, revision } = await world.publish(shop("checkout") + never("cart"));
    expect([created, revision?.body.number]).toEqual([true, 2]);
    expect(revision?.body.changes.map(({ name }) => name)).toEqual(["payments"]);
    const yaml = await world.policy.yaml(world.policy.find(2));
    expect(yaml).toContain("never:");
    expect((await world.publish(yaml)).created).toBe(false);
    const diff = await world.policy.diff({ kind: "revision", number: 1 }, { kind: "newest" });
    expect(diff).toMatchObject({ objects: [{ change: "added", kind: "Assertion", name: "s" }], access: [] });
  });

  test("an assertion that does not hold refuses the revision with a counter-example", async () => {
    const { created, findings } = await world.publish(shop("checkout", "cart") + never("cart"));
    expect([created, world.ledger.revisions.head()]).toEqual([false, undefined]);
    const message = '"never" does not hold: cart may call payments/*, by callers/allow[0]';
    expect(findings.filter(({ severity }) => severity === "error")).toMatchObject([{ field: "never", message }]);
  });

  test("another head than the parent is a conflict that names the head", async () => {
    await expect(world.publish(shop("checkout"), { parent: 3 })).rejects.toMatchObject({ code: "conflict" });
    await world.publish(shop("checkout"), { parent: 0 });
    await expect(world.publish(shop("cart"), { parent: 0 })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("it is revision 1 by spiffe://test.mesh/operator/alice: why"),
    });
  });

  test("of two that race one wins and the other gets a conflict, at the append too (I1)", async () => {
    await world.publish(shop("checkout"));
    world.ledger.revisions.beforeAppend = async () => void (await world.publish(shop("checkout", "cart")));
    await expect(world.publish(shop("cart"))).rejects.toMatchObject({ code: "conflict" });
    expect(world.ledger.revisions.list().map(({ body }) => body.number)).toEqual([1, 2]);
    expect(world.entries.map(({ outcome }) => outcome)).toEqual(["ok", "ok", "conflict"]);
  });

  for (const [name, content, parts, code] of [
    ["a message above 4 KiB", shop("cart"), { message: "x".repeat(4097) }, "invalid_argument"],
    ["files above 8 MiB", `# ${"x".repeat(8 * 1024 * 1024)}`, {}, "limit"],
  ] as const) {
    test(`${name} is refused with ${code}`, async () => {
      await expect(world.publish(content, parts)).rejects.toMatchObject({ code });
    });
  }

  test("no files at all are refused; policy without any object needs leave to be the empty policy (I4)", async () => {
    const none = world.publisher.publish({ files: [], message: "", parent: undefined, allowEmpty: true }, caller);
    await expect(none).rejects.toMatchObject({ code: "invalid_argument" });
    for (const content of ["", "\n", "# nothing\n---\n", "kind: Descriptor\nname: a.B\nmethods: [C]\n"]) {
      const message = expect.stringMatching(/no object at all.*--allow-empty/);
      await expect(world.publish(content)).rejects.toMatchObject({ code: "invalid_argument", message });
    }
    expect(world.ledger.revisions.head()).toBeUndefined();
    expect((await world.publish("", { allowEmpty: true })).revision?.body.number).toBe(1);
  });
});

describe("reading policy", () => {
  test("a dry run says what would change and stores nothing", async () => {
    await world.publish(shop("checkout"));
    const blobs = world.ledger.stored.size;
    const dry = await world.policy.validate([{ name: "shop.yaml", content: shop("cart") }]);
    expect(dry).toMatchObject({ wouldCreate: true, objects: [{ change: "changed", kind: "Authorization" }] });
    expect(dry.access).toEqual([
      { caller: "cart", service: "payments", method: "*", change: "gains", before: "denied", after: "allowed" },
      { caller: "checkout", service: "payments", method: "*", change: "loses", before: "allowed", after: "denied" },
    ]);
    expect(world.ledger.stored.size).toBe(blobs);
    const bad = await world.policy.validate([{ name: "shop.yaml", content: "kind: Service" }]);
    expect(bad).toMatchObject({ wouldCreate: false, snapshotDigest: undefined, objects: [], access: [] });
  });

  test("a diff of names only has the objects of one side counted, and neither lines nor access", async () => {
    await world.publish(shop("checkout"));
    await world.activate(1);
    const files = [{ name: "shop.yaml", content: service("cart") }];
    const diff = await world.policy.diff({ kind: "active" }, { kind: "files", files }, true);
    const removed = { change: "removed", lines: [] };
    expect(diff).toMatchObject({ fromObjects: 4, access: [] });
    expect(diff.objects).toEqual([
      { ...removed, kind: "Authorization", name: "callers" },
      { ...removed, kind: "Service", name: "checkout" },
      { ...removed, kind: "Service", name: "payments" },
    ]);
  });

  test("a revision's YAML publishes as the same snapshot", async () => {
    const { revision } = await world.publish(shop("checkout", "cart"));
    const yaml = await world.policy.yaml(world.policy.find(1));
    expect((await world.publish(yaml)).created).toBe(false);
    expect(revision?.body.number).toBe(1);
  });

  for (const [name, caller_, asked, revision, expected] of [
    ["the active revision decides", "checkout", "payments", 0, [true, "callers/allow[0]", 1, 1]],
    ["another revision can be asked", "checkout", "payments", 2, [false, "default-deny", 2, 0]],
    ["an unknown service is denied", "checkout", "nowhere", 0, [false, "default-deny", 1, 1]],
    ["an unknown caller is denied", "ghost", "payments", 0, [false, "default-deny", 1, 1]],
    ["what is no caller is denied", "not a name", "payments", 0, [false, "default-deny", 1, 1]],
    ["a SPIFFE ID is a caller", "spiffe://test.mesh/service/checkout", "payments", 0, [true, "callers/allow[0]", 1, 1]],
  ] as const) {
    test(`access: ${name}`, async () => {
      await world.publish(shop("checkout"));
      await world.publish(shop("cart"));
      await world.activate(1);
      const verdict = await world.policy.checkAccess(caller_, asked, "shop.Payments/Charge", revision);
      expect([verdict.allowed, verdict.rule, verdict.revision, verdict.epoch]).toEqual(expected);
    });
  }

  test("access: a name that is not known is denied, and the nearest one is said", async () => {
    const stated = "kind: Service\nname: payments\nmethods: [shop.Payments/Charge, shop.Payments/Refund]\n";
    await world.publish([stated, service("checkout"), allow("checkout")].join("---\n"));
    await world.activate(1);
    for (const [caller_, asked, method, expected] of [
      ["chekout", "payments", "shop.Payments/Charge", 'there is no service "chekout"; did you mean "checkout"?'],
      ["checkout", "paymnets", "shop.Payments/Charge", 'no service "paymnets"; did you mean "payments"?'],
      ["payments", "payments", "shop.Payments/Chrge", 'none of them; did you mean "shop.Payments/Charge"?'],
      ["payments", "payments", "shop.Payments/Charge", undefined],
    ] as const) {
      const { allowed, reason } = await world.policy.checkAccess(caller_, asked, method, 0);
      expect(allowed).toBe(false);
      if (expected === undefined) expect(reason).not.toContain("did you mean");
      else expect(reason).toContain(expected);
    }
  });

  test("access: a condition is asked with the headers that are given, and named where it is not met", async () => {
    const when = 'request.headers.region == "eu"';
    const rule = allow("checkout").replace(/methods: .*\]}/, `when: '${when}'}`);
    await world.publish([service("payments"), service("checkout"), rule].join("---\n"));
    const ask = (region?: string) => {
      const headers = region === undefined ? [] : [{ name: "region", value: region }];
      return world.policy.checkAccess(
        "checkout",
        "payments",
        "a.B/C",
        1,
        inputsAsAsked(headers, { claims: "", tokenIssuer: "" }, 0),
      );
    };
    expect(await ask("eu")).toMatchObject({ allowed: true, rule: "callers/allow[0]" });
    const denied = { allowed: false, rule: "default-deny", reason: expect.stringContaining(when) };
    expect(await ask("us")).toMatchObject(denied);
    expect(await ask()).toMatchObject(denied);
  });

  test("access: an allowed read may go direct where the Journal says so, from an application of a service", async () => {
    const stated = service("payments").replace("\n", "\nnoSideEffects: [a.B/Read, a.B/Put]\n");
    const rule =
      "kind: Authorization\nname: r\nservice: payments\nallow: [{ from: [checkout, gateway/web], methods: [a.B/Read, a.B/Put] }]\n";
    const journal = "kind: Journal\nname: j\nservice: payments\nmethods: [a.B/Put]\nmode: before\nresponse: bytes\n";
    const gateway =
      "kind: Gateway\nname: web\nlisteners: [{ name: l, expose: [{ service: payments, methods: [a.B/Read] }], callers: { anyone: true } }]\n";
    const all = (reads: string) =>
      [stated, service("checkout"), rule, gateway, `${journal}reads: ${reads}\n`].join("---\n");
    await world.publish(all("proxied"));
    await world.publish(all("direct"));
    const ask = async (of: string, method: string, revision: number) => {
      const { allowed, direct } = await world.policy.checkAccess(of, "payments", method, revision);
      return [allowed, direct];
    };
    expect(await ask("checkout", "a.B/Read", 1)).toEqual([true, false]);
    expect(await ask("checkout", "a.B/Read", 2)).toEqual([true, true]);
    expect(await ask("checkout", "a.B/Put", 2)).toEqual([true, false]);
    expect(await ask("gateway/web", "a.B/Read", 2)).toEqual([true, false]);
    expect(await ask("payments", "a.B/Read", 2)).toEqual([false, false]);
    expect(await world.policy.activeDirectReads()).toEqual([]);
    await world.activate(2);
    expect(await world.policy.activeDirectReads()).toEqual(["payments"]);
  });

  test("access: while nothing is active everything is denied (I4), and an unknown revision is not found", async () => {
    expect(await world.policy.checkAccess("checkout", "payments", "a.B/C", 0)).toMatchObject({
      allowed: false,
      rule: "default-deny",
      revision: 0,
    });
    await expect(world.policy.checkAccess("checkout", "payments", "a.B/C", 4)).rejects.toMatchObject({
      code: "not_found",
    });
  });

  test("who can: of now, of a revision, and of what was active at a time", async () => {
    const startMs = Date.UTC(2026, 0, 1);
    const ask = async (revision: number, atMs: number, asked = "payments") => {
      const query = { service: asked, method: "shop.Payments/Charge", revision, atMs };
      const { callers, ...about } = await world.policy.listAccess(query);
      const may = callers.filter(({ access }) => access !== "denied").map(({ caller: name }) => name);
      return [about.revision, about.epoch, may.join(), about.reason];
    };
    expect(await ask(0, 0)).toEqual([0, 0, "", expect.stringMatching(/no revision is active yet/)]);
    await world.publish(shop("checkout"));
    await world.publish(shop("cart"));
    for (const [index, number] of [1, 2, 1].entries()) await world.activate(number, startMs + index * 1000);
    expect(await ask(0, 0)).toEqual([1, 3, "checkout", ""]);
    expect(await ask(2, 0)).toEqual([2, 0, "cart", ""]);
    expect(await ask(0, startMs + 1999)).toEqual([2, 2, "cart", ""]);
    expect(await ask(0, startMs)).toEqual([1, 1, "checkout", ""]);
    const before = [0, 0, "", expect.stringMatching(/nothing was active at 2025-12-31T23:59:59.999Z/)];
    expect(await ask(0, startMs - 1)).toEqual(before);
    expect(await ask(0, 0, "paymnets")).toEqual([1, 3, "", expect.stringMatching(/did you mean "payments"\?$/)]);
    await world.publish(
      shop("checkout").replace("name: payments\n", "name: payments\nmethods: [shop.Payments/Charges]\n"),
    );
    expect(await ask(3, 0)).toEqual([3, 0, "", expect.stringMatching(/did you mean "shop.Payments\/Charges"\?$/)]);
    await expect(ask(1, 5)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(ask(9, 0)).rejects.toMatchObject({ code: "not_found" });
  });

  test("a diff of the active revision against files, with findings where the files are bad", async () => {
    await world.publish(shop("checkout"));
    await world.activate(1);
    const files = [{ name: "shop.yaml", content: shop("checkout", "cart") }];
    const diff = await world.policy.diff({ kind: "active" }, { kind: "files", files });
    expect(diff.access).toMatchObject([{ caller: "cart", service: "payments", method: "*", change: "gains" }]);
    const bad = [{ name: "shop.yaml", content: "kind: Nope" }];
    expect((await world.policy.diff({ kind: "files", files: bad }, { kind: "newest" })).findings).toHaveLength(1);
  });
});
