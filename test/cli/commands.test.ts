import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  proxyInfo,
  revisionInfo,
  startFakeAdmin,
  statusInfo,
} from "./fake-admin.js";
import { settledAnswers, writePolicy } from "./settled-mesh.js";

let admin: FakeAdmin;
let policy: string;

beforeAll(async () => {
  admin = await startFakeAdmin();
  policy = writePolicy(admin.folder);
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = settledAnswers();
  admin.requests.length = 0;
});

const json = (out: string): unknown => JSON.parse(out);
const asked = (method: string): unknown => admin.requests.find((one) => one.method === method)?.request;

describe("rollback and activate", () => {
  test("rollback tells revision, epoch, what it rolled back and how long it took", async () => {
    admin.answers = { rollback: { activation: activationInfo(5, 2, 3), tookMs: 7 }, listProxies: {} };
    const done = await admin.run("rollback", "--wait", "-m", "why", "-o", "json");
    expect(done.code).toBe(0);
    expect(json(done.out)).toEqual({ revision: 2, epoch: 5, rollbackOf: 3, tookMs: 7, behind: [], notHeard: [] });
    expect(asked("rollback")).toMatchObject({ reason: "why", wait: true, waitTimeoutMs: 30_000 });
    expect(asked("rollback")).not.toHaveProperty("to", 0);
  });

  test("rollback --wait ends with 1 and names who is behind", async () => {
    admin.answers = { rollback: { activation: activationInfo(5, 2, 3), tookMs: 50, behind: ["p-2"] }, listProxies: {} };
    const done = await admin.run("rollback", "--to", "2", "--wait", "--timeout", "50ms");
    expect(done.code).toBe(1);
    expect(done.error).toContain("behind: p-2");
    expect(asked("rollback")).toMatchObject({ to: 2 });
  });

  test("activate tells revision, epoch and how long it took", async () => {
    admin.answers = { activateRevision: { activation: activationInfo(4, 3), created: true, tookMs: 9 } };
    const done = await admin.run("activate", "3", "-o", "json");
    expect(json(done.out)).toMatchObject({ revision: 3, epoch: 4, tookMs: 9 });
  });

  test("activate --wait ends once every live proxy evaluates the epoch", async () => {
    let polls = 0;
    const listProxies = () => {
      polls += 1;
      return { proxies: [proxyInfo("p-1", { epoch: polls < 3 ? 3 : 4 })] };
    };
    const activateRevision = { activation: activationInfo(4, 3), created: true };
    admin.answers = { getStatus: statusInfo(), listProxies, activateRevision };
    expect((await admin.run("activate", "3", "--wait")).code).toBe(0);
    expect(polls).toBe(3);
  });
});

describe("wait", () => {
  test("waits for the active epoch by default", async () => {
    const done = await admin.run("wait", "-o", "json");
    expect(done.code).toBe(0);
    expect(json(done.out)).toMatchObject({ reached: true, epoch: 4, revision: 3, behind: [] });
  });

  test("an epoch that does not come ends with 1 and says what is active", async () => {
    const done = await admin.run("wait", "--epoch", "5", "--timeout", "30ms");
    expect(done.code).toBe(1);
    expect(done.error).toContain("epoch 5 not in force everywhere within 0.03 s; behind: p-1");
  });

  test("a revision that is not active is not in force, also without proxies", async () => {
    admin.answers = { getStatus: statusInfo(), listProxies: {} };
    const done = await admin.run("wait", "--revision", "2", "--timeout", "30ms");
    expect(done.code).toBe(1);
    expect(done.error).toContain("active is revision 3 at epoch 4");
  });

  test("takes --epoch or --revision", async () => {
    expect((await admin.run("wait", "--revision", "2", "--epoch", "1")).code).toBe(2);
  });
});

describe("looking", () => {
  test("log lists revisions newest first, all pages of them", async () => {
    const all = Array.from({ length: 1500 }, (_, index) => revisionInfo(1500 - index));
    const listRevisions = ({ limit, before }: { limit: number; before: number }) => ({
      revisions: all.filter(({ number }) => before === 0 || number < before).slice(0, limit),
    });
    admin.answers = { listRevisions };
    const { out } = await admin.run("log", "-o", "json");
    const entries = json(out) as { number: number; time: string }[];
    expect(entries.map(({ number }) => number)).toEqual(all.map(({ number }) => number));
    expect(entries.at(-1)).toMatchObject({
      number: 1,
      active: false,
      time: "2026-01-02T03:05:05.000Z",
      message: "change 1",
    });
    expect(json((await admin.run("log", "--limit", "2", "-o", "json")).out)).toHaveLength(2);
  });

  test("status has the shape that scripts read", async () => {
    const done = await admin.run("status", "-o", "json");
    expect(json(done.out)).toMatchObject({
      mesh: "test",
      epoch: 4,
      revision: 3,
      proxies: { total: 2, prepared: 2, active: 2, behind: 0, rejected: 0 },
      healthy: true,
      problems: [],
    });
  });

  test("status gives each problem a code, a message and a subject; an older control plane's lines have code other", async () => {
    const problem = { code: "proxy-silent", message: "proxy p-1 (payments) went silent", subject: "p-1" };
    const problems = [problem.message];
    admin.answers.getStatus = statusInfo({ healthy: false, problems, problemDetails: [problem] });
    expect(json((await admin.run("status", "-o", "json")).out)).toMatchObject({ problems: [problem] });
    admin.answers.getStatus = statusInfo({ healthy: false, problems });
    const old = { code: "other", message: problem.message, subject: "" };
    expect(json((await admin.run("status", "-o", "json")).out)).toMatchObject({ problems: [old] });
  });

  test("services says why an instance takes no calls", async () => {
    const endpoint = { instance: "one", version: "v1", address: "127.0.0.1:1", healthy: false, proxyId: "p-1" };
    const endpoints = [{ ...endpoint, why: "its proxy is not heard of" }];
    admin.answers.listServices = { services: [{ name: "payments", endpoints, inPolicy: true }] };
    expect(json((await admin.run("services", "-o", "json")).out)).toMatchObject([{ endpoints }]);
  });

  test("proxies and services have the shapes that scripts read", async () => {
    const endpoint = { instance: "one", version: "v1", address: "127.0.0.1:1", healthy: true, proxyId: "p-1" };
    admin.answers.listServices = { services: [{ name: "payments", endpoints: [endpoint], inPolicy: true }] };
    const [proxy] = json((await admin.run("proxies", "-o", "json")).out) as object[];
    const state = { id: "p-1", service: "payments", version: "v1", epoch: 4, seenEpoch: 4, revision: 3, lagMs: 12 };
    expect(proxy).toMatchObject({ ...state, digest: digestOf("3"), certificateExpires: "2026-01-03T03:04:05.000Z" });
    const services = json((await admin.run("services", "-o", "json")).out);
    expect(services).toEqual([{ name: "payments", endpoints: [endpoint], inPolicy: true }]);
  });

  test("diff names the conditions under which access is gained and lost", async () => {
    const access = { caller: "shop", service: "payments", method: "a.B/C", change: "gains" };
    const when = 'request.headers.region == "eu" &&\n  true';
    admin.answers = { diffRevisions: { access: [{ ...access, before: "denied", after: when }] } };
    const { out } = await admin.run("diff", "2", "3");
    expect(out.trim().split("\n")).toEqual([
      "CALLER  ACCESS  METHOD          BEFORE  AFTER",
      'shop    gains   payments/a.B/C  denied  request.headers.region == "eu" &&   true',
    ]);
    const printed = await admin.run("diff", "2", "3", "-o", "json");
    expect(json(printed.out)).toMatchObject({ access: [{ before: "denied", after: when }] });
  });

  test("diff compares in the order of the command line", async () => {
    admin.answers = { diffRevisions: {} };
    const revision = (value: number) => ({ side: { $case: "revision", value } });
    const files = { side: { $case: "files" } };
    for (const [argv, expected] of [
      [["3", "5"], { from: revision(3), to: revision(5) }],
      [["5"], { from: undefined, to: revision(5) }],
      [["-f", policy], { from: undefined, to: files }],
      [["3", "-f", policy], { from: revision(3), to: files }],
      [["-f", policy, "3"], { from: files, to: revision(3) }],
      [["-f", policy, "-f", policy], { from: files, to: files }],
    ] as const) {
      admin.requests.length = 0;
      expect((await admin.run("diff", ...argv)).code).toBe(0);
      expect(asked("diffRevisions")).toMatchObject(expected);
    }
    expect((await admin.run("diff", "1", "2", "-f", policy)).code).toBe(2);
  });

  test("show prints policy that apply takes back", async () => {
    admin.answers = { getRevision: { revision: revisionInfo(3), yaml: "kind: Service\nname: payments\n" } };
    expect((await admin.run("show", "3")).out).toBe("kind: Service\nname: payments\n");
    expect(json((await admin.run("show", "-o", "json")).out)).toMatchObject({ number: 3, yaml: expect.any(String) });
  });

  test("audit asks for the time given", async () => {
    const entry = {
      sequence: 1,
      timeMs: 0,
      actor: "a",
      source: "s",
      action: "join",
      target: "t",
      outcome: "ok",
      detail: "",
      id: Buffer.alloc(0),
    };
    admin.answers = { listAudit: { entries: [{ previous: Buffer.alloc(0), ...entry }], chainHolds: true } };
    expect(json((await admin.run("audit", "--since", "1h", "-o", "json")).out)).toMatchObject([{ action: "join" }]);
    expect(asked("listAudit")).toMatchObject({ sinceMs: Date.UTC(2026, 0, 2, 2, 4, 5) });
  });

  test("token prints the token alone", async () => {
    admin.answers = { createJoinToken: { token: "abc.def", expiresMs: 0 } };
    const done = await admin.run("token", "--service", "payments", "--version", "v2", "--ttl", "5m", "--uses", "3");
    expect(done).toEqual({ code: 0, out: "abc.def\n", error: "" });
    const request = { service: "payments", version: "v2", ttlMs: 300_000, uses: 3 };
    expect(asked("createJoinToken")).toMatchObject(request);
  });

  test.each(["1001", "99999999999"])("token refuses %s uses, which no control plane takes", async (uses) => {
    const { code, error } = await admin.run("token", "--service", "payments", "--uses", uses);
    expect([code, error]).toEqual([2, expect.stringContaining("Expected a whole number from 1 to 1000.")]);
  });
});
