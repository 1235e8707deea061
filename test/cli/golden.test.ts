/** What people read: help and tables, word for word. UPDATE_GOLDEN=1 rewrites the files. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  proxyInfo,
  revisionInfo,
  startFakeAdmin,
  statusInfo,
  timeMs,
} from "./fake-admin.js";

const folder = resolve(import.meta.dirname, "../golden/cli");
const isUpdate = process.env.UPDATE_GOLDEN === "1";

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());

function expectGolden(name: string, text: string): void {
  const path = join(folder, name);
  if (isUpdate) writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, "utf8"));
}

const lost = { before: "allowed", after: "denied" };
const gained = { before: "denied", after: "allowed" };

test("ashlar --help lists the commands", async () => {
  expectGolden("help-ashlar.txt", (await admin.run("--help")).out);
});

test("tables read well", async () => {
  const rejecting = proxyInfo("p-0002", {
    service: "inventory",
    version: "v2",
    epoch: 3,
    revision: 2,
    digest: digestOf("2"),
    rejectedRevision: 3,
    rejectedReason: "unit payments: unknown field 9",
    certificateExpiresMs: timeMs + 3_600_000,
  });
  const joining = { epoch: 0, revision: 0, digest: "", live: false, serving: false, seenEpoch: 0 };
  admin.answers = {
    getStatus: statusInfo({
      headRevision: 4,
      active: 1,
      behind: 1,
      rejected: 1,
      healthy: false,
      problems: ["proxy p-0002 (inventory) evaluates epoch 3, the mesh is at 4"],
      bypassable: ["payments p-0001: app tcp 127.0.0.1:8080"],
      directReads: ["ledger"],
    }),
    listProxies: { proxies: [proxyInfo("p-0001"), rejecting, proxyInfo("p-0003", joining)] },
    listServices: {
      services: [
        {
          name: "inventory",
          inPolicy: true,
          endpoints: [
            { instance: "p-0002", version: "v2", address: "127.0.0.1:9102", healthy: true, proxyId: "p-0002" },
            {
              instance: "second",
              version: "v1",
              address: "127.0.0.1:9103",
              proxyId: "p-0003",
              healthy: false,
              why: "its proxy is not heard of",
            },
          ],
        },
        { name: "payments", inPolicy: false, endpoints: [] },
      ],
    },
    listRevisions: {
      revisions: [revisionInfo(3), revisionInfo(2, { active: true }), revisionInfo(1, { message: "" })],
    },
    checkAccess: ({ caller }: { caller: string }) =>
      caller === "checkout"
        ? {
            allowed: true,
            rule: "checkout-charges/allow[0]",
            revision: 3,
            epoch: 4,
            reason:
              "allowed by checkout-charges/allow[0]; rollout 2 runs: under revision 4 it is denied by default-deny",
            limits: [
              { name: "payments/limits[0]", rate: "100/s", burst: 200, cost: 1, per: ["caller"], scope: "proxy" },
              { name: "payments/limits[1]", rate: "10/h", burst: 20, cost: 3, per: [], scope: "mesh" },
            ],
            rollout: { number: 2, candidate: 4, base: 3, stage: 1 },
          }
        : { allowed: false, rule: "default-deny", revision: 2, epoch: 0, reason: "No rule allows it." },
    listAccess: ({ atMs, service }: { atMs: number; service: string }) =>
      atMs > 0 || service === "paymnets"
        ? { reason: "nothing was active at 2026-01-02T02:04:05.000Z: nobody could call anything" }
        : {
            revision: 3,
            epoch: 4,
            callers: [
              {
                caller: "checkout",
                access: "allowed",
                rule: "checkout-charges/allow[0]",
                condition: "",
                judgedMethod: "",
              },
              {
                caller: "storefront",
                access: "conditional",
                rule: "checkout-charges/allow[1]",
                condition: '"x-vip" in request.headers',
                judgedMethod: "",
              },
              { caller: "*", access: "denied", rule: "default-deny", condition: "", judgedMethod: "" },
            ],
          },
    diffRevisions: {
      objects: [
        { change: "added", kind: "Service", name: "carts", lines: ["+kind: Service", "+name: carts"] },
        { change: "changed", kind: "Route", name: "payments", lines: [" rules:", "-  - split: v1", "+  - split: v2"] },
      ],
      access: [
        { caller: "checkout", service: "payments", method: "shop.Payments/Refund", change: "loses", ...lost },
        { caller: "carts", service: "payments", method: "*", change: "gains", ...gained },
      ],
    },
    listAudit: {
      entries: [
        {
          sequence: 1,
          previous: Buffer.alloc(0),
          id: Buffer.alloc(0),
          timeMs,
          actor: "spiffe://test/operator/admin",
          source: "127.0.0.1:5",
          action: "publish",
          target: "revision 3",
          outcome: "ok",
          detail: "change 3",
        },
      ],
      chainHolds: true,
    },
    rollback: { activation: activationInfo(5, 2, 3), tookMs: 7 },
  };
  const shown: string[] = [];
  for (const line of [
    "status",
    "proxies",
    "services",
    "log",
    "can checkout payments/shop.Payments/Charge",
    "can stranger payments/shop.Payments/Charge",
    "who-can payments/shop.Payments/Charge",
    "who-can payments/shop.Payments/Charge --at 1h",
    "diff 2 3",
    "audit",
    "rollback --wait",
    "wait --epoch 4 --timeout 20ms",
  ]) {
    const { code, out, error } = await admin.run(...line.split(" "));
    const notes = error === "" ? "" : `[stderr] ${error}`;
    shown.push(`$ ashlar ${line}\n${out}${notes}[exit ${code}]\n`);
  }
  expectGolden("tables.txt", shown.join("\n"));
});

test("what there is nothing of is said in words", async () => {
  admin.answers = {
    getStatus: statusInfo({ epoch: 0, revision: 0, headRevision: 0, total: 0, prepared: 0, active: 0 }),
    listProxies: {},
    listServices: {},
    listRevisions: {},
    diffRevisions: {},
    listAudit: {},
    listJournals: {},
  };
  const shown: string[] = [];
  const verify = `journal verify --root-hash ${"0".repeat(64)}`;
  for (const line of ["status", "proxies", "services", "log", "diff", "audit", verify, "activate x"]) {
    const { out, error } = await admin.run(...line.split(" "));
    shown.push(`$ ashlar ${line}\n${out}${error}`);
  }
  expectGolden("tables-empty.txt", shown.join("\n"));
});

test("schema asks nobody and prints JSON Schema", async () => {
  admin.requests.length = 0;
  const schema: { $schema: string } = JSON.parse((await admin.run("schema")).out);
  expect(schema.$schema).toContain("json-schema.org");
  expect(admin.requests).toEqual([]);
});
