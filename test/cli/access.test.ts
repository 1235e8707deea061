/** `can` and `who-can`: what they ask and print. */
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { type FakeAdmin, startFakeAdmin } from "./fake-admin.js";

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.requests.length = 0;
});

const json = (out: string): unknown => JSON.parse(out);
const asked = (method: string): unknown => admin.requests.find((one) => one.method === method)?.request;

test("can ends the service at the first slash, and ends with 0 whatever the verdict", async () => {
  admin.answers = { checkAccess: { allowed: false, rule: "default-deny", revision: 3, epoch: 4 } };
  const done = await admin.run("can", "stranger", "payments/shop.Payments/Charge", "-o", "json");
  expect(done.code).toBe(0);
  expect(json(done.out)).toMatchObject({ allowed: false, rule: "default-deny", revision: 3, epoch: 4 });
  const asCode = await admin.run("can", "stranger", "payments/shop.Payments/Charge", "--exit-code", "-o", "json");
  expect([asCode.code, asCode.out]).toEqual([1, done.out]);
  expect(asCode.error).toBe("ashlar: stranger may not call payments/shop.Payments/Charge\n");
  const request = { caller: "stranger", service: "payments", method: "shop.Payments/Charge", revision: 0 };
  expect(asked("checkAccess")).toMatchObject(request);
});

test("can says that a call may go direct", async () => {
  admin.answers = { checkAccess: { allowed: true, rule: "a/allow[0]", revision: 3, epoch: 4, direct: true } };
  const words = ["can", "shop", "ledger/bank.Ledger/Balance"];
  expect((await admin.run(...words)).out).toContain("may go direct: applications of the caller need not pass");
  expect(json((await admin.run(...words, "-o", "json")).out)).toMatchObject({ allowed: true, direct: true });
});

test("can asks with the headers that are given, and knows what is no header", async () => {
  admin.answers = { checkAccess: { allowed: true, rule: "a/allow[0]", revision: 3, epoch: 4 } };
  const target = "payments/shop.Payments/Charge";
  const done = await admin.run("can", "shop", target, "--header", "X-Region=eu", "--header", "x-list=a=b,c");
  expect(done.code).toBe(0);
  const headers = [
    { name: "x-region", value: "eu" },
    { name: "x-list", value: "a=b,c" },
  ];
  expect(asked("checkAccess")).toMatchObject({ headers });
  for (const wrong of ["x-region", "=eu", "x region=eu"])
    expect([wrong, (await admin.run("can", "shop", target, "--header", wrong)).code]).toEqual([wrong, 2]);
});

test("can asks with claims, whose values are JSON or texts, and knows what is no claim", async () => {
  admin.answers = { checkAccess: { allowed: true, rule: "a/allow[0]", revision: 3, epoch: 4 } };
  const target = "payments/shop.Payments/Charge";
  const claims = ["--claim", "scope=pay", "--claim", "level=3", "--claim", 'roles=["a=b"]', "--token-issuer", "a"];
  expect((await admin.run("can", "shop", target, ...claims)).code).toBe(0);
  const request = { claims: '{"scope":"pay","level":3,"roles":["a=b"]}', tokenIssuer: "a" };
  expect(asked("checkAccess")).toMatchObject(request);
  expect((await admin.run("can", "shop", target, "--claim", "=x")).code).toBe(2);
});

test("who-can has the shape that scripts read, and ends with 0 whoever may", async () => {
  const callers = [
    { caller: "shop", access: "conditional", rule: "a/allow[0]", condition: "true == false", judgedMethod: "" },
    { caller: "*", access: "denied", rule: "default-deny", condition: "", judgedMethod: "" },
  ];
  admin.answers = { listAccess: { revision: 3, epoch: 4, callers } };
  const done = await admin.run("who-can", "payments/shop.Payments/Charge", "--revision", "3", "-o", "json");
  expect(done.code).toBe(0);
  expect(json(done.out)).toEqual({
    service: "payments",
    method: "shop.Payments/Charge",
    revision: 3,
    epoch: 4,
    callers: [
      { caller: "shop", access: "conditional", rule: "a/allow[0]", condition: "true == false" },
      { caller: "*", access: "denied", rule: "default-deny" },
    ],
  });
  const request = { service: "payments", method: "shop.Payments/Charge", revision: 3, atMs: 0 };
  expect(asked("listAccess")).toMatchObject(request);
});

test("who-can --at takes RFC 3339 times and durations, and nothing that is still to come", async () => {
  admin.answers = { listAccess: { reason: "nothing was active" } };
  for (const [at, atMs] of [
    ["2026-01-02T01:00:00Z", Date.UTC(2026, 0, 2, 1)],
    ["2026-01-02T03:00:00.5+02:00", Date.UTC(2026, 0, 2, 1, 0, 0, 500)],
    ["2h ago", Date.UTC(2026, 0, 2, 1, 4, 5)],
    ["2h", Date.UTC(2026, 0, 2, 1, 4, 5)],
  ] as const) {
    admin.requests.length = 0;
    const done = await admin.run("who-can", "payments/a.B/C", "--at", at);
    expect([at, done.code, done.out]).toEqual([at, 0, "nothing was active\n"]);
    expect(asked("listAccess")).toMatchObject({ atMs, revision: 0 });
  }
  for (const wrong of [
    "yesterday",
    "2026",
    "2026-01-02",
    "2026-01-02T01:00:00",
    "2026-13-02T01:00:00Z",
    "2027-01-01T00:00:00Z",
  ])
    expect([wrong, (await admin.run("who-can", "payments/a.B/C", "--at", wrong)).code]).toEqual([wrong, 2]);
  expect((await admin.run("who-can", "payments/a.B/C", "--at", "1h", "--revision", "2")).code).toBe(2);
  expect((await admin.run("who-can", "payments")).code).toBe(2);
});
