import { beforeEach, describe, expect, test } from "@jest/globals";
import { createPolicyReader, type PolicyReader } from "../../../control-plane/publish/policy-reader.js";
import { createPublisher } from "../../../control-plane/publish/publisher.js";
import { SnapshotStore } from "../../../control-plane/publish/snapshot-store.js";
import { digestOf } from "../../../core/digest.js";
import type { Activation, Heartbeat } from "../../../core/model.js";
import { signActivation } from "../../../core/wire/records.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildActivation, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const { signer, publicKey } = createTestKey();
const method = "shop.Payments/Charge";
const startMs = Date.UTC(2026, 0, 1);
const shop = (from: string, limits: string) =>
  [
    ...["payments", "checkout", "cart"].map((name) => `kind: Service\nname: ${name}\n`),
    `kind: Authorization\nname: callers\nservice: payments\nallow: [{from: [${from}], methods: ["*"]}]\n`,
    `kind: RateLimit\nname: pay\nservice: payments\nlimits: [${limits}]\n`,
  ].join("---\n");
const perCaller = "{ per: [caller], rate: 100/s, burst: 200 }";
const others = `{ rate: 5/m, methods: [shop.Payments/Refund] }, { rate: 5/m, cost: [{ methods: [${method}], cost: 0 }] }`;
const dear = "{ rate: 10/h, burst: 20, cost: 3, scope: mesh }";

let ledger: PlainLedger;
let heartbeat: Heartbeat | undefined;
let policy: PolicyReader;

async function activate(number: number, rollout?: Pick<NonNullable<Activation["rollout"]>, "stage" | "cohort">) {
  const revision = ledger.revisions.find(number);
  const base = ledger.revisions.find(1);
  if (revision === undefined || base === undefined) throw new Error(`no revision ${number}`);
  const before = ledger.activations.head();
  const stage = rollout && {
    number: 1,
    digest: digestOf(Buffer.from("plan")),
    paused: false,
    ...rollout,
    base: { number: 1, digest: base.digest },
  };
  const timeMs = startMs + (before?.body.epoch ?? 0) * 1000;
  const activation = { ...buildActivation(before, revision), timeMs, ...(stage && { rollout: stage }) };
  await ledger.activations.append(signActivation(activation, testMesh, signer));
}

/** Revision 1 is active; revision 2 lets cart call, not checkout, and limits otherwise. */
beforeEach(async () => {
  ledger = new PlainLedger();
  const snapshots = new SnapshotStore(ledger.blobs);
  const { revisions } = ledger;
  const publisher = createPublisher({
    mesh: testMesh,
    revisions,
    snapshots,
    signer,
    clock: new ManualClock(),
    knownVersions: () => new Map(),
    knownIssuers: () => new Set<string>(),
    audit: { record: async () => {} },
  });
  policy = createPolicyReader({
    mesh: testMesh,
    rootPublicKey: publicKey,
    ledger,
    snapshots,
    publisher,
    heartbeatOf: () => heartbeat,
  });
  for (const content of [shop("checkout", `${perCaller}, ${others}, ${dear}`), shop("cart", perCaller)])
    await publisher.publish(
      { files: [{ name: "shop.yaml", content }], message: "", parent: undefined },
      { id: testAuthor, source: "" },
    );
  await activate(1);
});

const running = { number: 1, candidate: 2, base: 1, stage: 1 };
const begin = () => activate(2, { stage: 1, cohort: { basisPoints: 1000, proxyIds: [] } });
const can = (caller: string, revision = 0) => policy.checkAccess(caller, "payments", method, revision);

describe("an answer about the mesh names the rollout that is underway", () => {
  test("can: the verdict is the base's, and the candidate's is said beside it", async () => {
    expect((await can("checkout")).rollout).toBeUndefined();
    await begin();
    const reason = expect.stringMatching(/rollout 1 runs: under revision 2 it is denied by default-deny$/);
    expect(await can("checkout")).toMatchObject({ allowed: true, revision: 1, epoch: 2, rollout: running, reason });
    expect(await can("checkout", 2)).toMatchObject({ allowed: false, revision: 2, epoch: 2, rollout: running });
  });

  test("who-can: of now, of a revision, and of a time at which one ran", async () => {
    await begin();
    await activate(2, { stage: 2, cohort: { basisPoints: 10_000, proxyIds: [] } });
    const ask = async (revision: number, atMs: number) => {
      const answer = await policy.listAccess({ service: "payments", method, revision, atMs });
      return [answer.revision, answer.epoch, answer.rollout];
    };
    expect(await ask(0, startMs)).toEqual([1, 1, undefined]);
    expect(await ask(0, startMs + 1500)).toEqual([1, 2, running]);
    expect(await ask(0, startMs + 2500)).toEqual([2, 3, undefined]);
    expect(await ask(1, 0)).toEqual([1, 0, undefined]); // the last stage is for everyone
  });

  test("diff: any two of revisions, files and what a proxy runs, each by its number", async () => {
    await begin();
    const digest = ledger.revisions.find(2)?.digest;
    heartbeat = { evaluatingRevision: 2, evaluatingDigest: digest } as Heartbeat;
    const about = async (...[from, to]: Parameters<PolicyReader["diff"]>) => {
      const { fromRevision, toRevision, rollout, objects } = await policy.diff(from, to);
      expect(rollout).toEqual(running);
      return [fromRevision, toRevision, objects.length];
    };
    const files = { kind: "files", files: [{ name: "a.yaml", content: shop("cart", perCaller) }] } as const;
    expect(await about({ kind: "active" }, { kind: "proxy", id: "p" })).toEqual([1, 2, 2]);
    expect(await about({ kind: "proxy", id: "p" }, files)).toEqual([2, 0, 0]);
    expect(await about(files, { kind: "revision", number: 1 })).toEqual([0, 1, 2]);
    expect(await about({ kind: "active" }, { kind: "newest" })).toEqual([1, 2, 2]);
  });
});

test("can names the limits that an allowed call meets, with what it costs, and none of a call that is denied", async () => {
  const scope = "proxy";
  expect((await can("checkout")).limits).toEqual([
    { name: "pay/limits[0]", rate: "100/s", burst: 200, cost: 1, per: ["caller"], scope },
    { name: "pay/limits[3]", rate: "10/h", burst: 20, cost: 3, per: [], scope: "mesh" },
  ]);
  expect((await can("cart")).limits).toEqual([]);
});
