import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { AshlarError } from "../../core/errors.js";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  proxyInfo,
  revisionInfo,
  startFakeAdmin,
  statusInfo,
} from "./fake-admin.js";

let admin: FakeAdmin;
let policy: string;

beforeAll(async () => {
  admin = await startFakeAdmin();
  policy = join(admin.folder, "policy");
  mkdirSync(join(policy, "deeper"), { recursive: true });
  writeFileSync(join(policy, "b.yaml"), "kind: Service\nname: payments\n");
  writeFileSync(join(policy, "deeper", "a.yml"), "kind: Service\nname: checkout\n");
  writeFileSync(join(policy, "notes.txt"), "not policy");
  writeFileSync(join(policy, ".hidden.yaml"), "not policy either");
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = {
    getStatus: statusInfo(),
    listProxies: { proxies: [proxyInfo("p-1"), proxyInfo("p-2")] },
    getConvergence: {},
    diffRevisions: {},
  };
  admin.requests.length = 0;
});

const json = (out: string): unknown => JSON.parse(out);
const asked = (method: string): unknown => admin.requests.find((one) => one.method === method)?.request;
const error = { severity: 1, file: "b.yaml", line: 3, column: 7, field: "allow[0].frm", message: "unknown field" };
const warning = { ...error, severity: 2, line: 0, message: "nobody has v3" };

describe("apply", () => {
  const published = { created: true, revision: revisionInfo(3), findings: [] };
  const activated = { activation: activationInfo(4, 3), created: true, tookMs: 5 };

  test("publishes every policy file of a folder, activates and says both", async () => {
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: activated };
    const done = await admin.run("apply", "-f", policy, "-m", "why", "--parent", "2", "-o", "json");
    expect([done.code, done.error]).toEqual([0, ""]);
    expect(json(done.out)).toEqual({
      created: true,
      revision: 3,
      epoch: 4,
      activated: true,
      tookMs: 5,
      behind: [],
      notHeard: [],
      findings: [],
      digest: digestOf("3"),
    });
    expect(asked("publishRevision")).toMatchObject({
      message: "why",
      parent: 2,
      files: [
        { name: join(policy, "b.yaml"), content: "kind: Service\nname: payments\n" },
        { name: join(policy, "deeper", "a.yml") },
      ],
    });
    expect(asked("activateRevision")).toMatchObject({ revision: 3, reason: "why", force: false, thresholdPercent: 0 });
  });

  test("hands over --force, --threshold and --timeout", async () => {
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: activated };
    await admin.run("apply", "-f", policy, "--force", "--threshold", "90%", "--timeout", "5s");
    const flags = { force: true, thresholdPercent: 90, prepareTimeoutMs: 5000 };
    expect(asked("activateRevision")).toMatchObject(flags);
  });

  test("reads stdin for -, and one file only once", async () => {
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: activated };
    await admin.runWith("kind: Service\n", "apply", "-f", "-", join(policy, "b.yaml"), "-f", policy);
    const { files } = asked("publishRevision") as { files: { name: string; content: string }[] };
    expect(files[0]).toMatchObject({ name: "stdin", content: "kind: Service\n" });
    expect(files).toHaveLength(3);
  });

  test("prints all findings at their places and ends with 1 when one is an error", async () => {
    admin.answers = { ...admin.answers, publishRevision: { created: false, findings: [error, warning] } };
    const done = await admin.run("apply", "-f", policy, "-o", "json");
    expect(done.code).toBe(1);
    expect(done.error).toBe(
      "b.yaml:3:7: error: unknown field\nb.yaml: warning: nobody has v3\n" +
        "ashlar: nothing was published: 1 error in the policy files\n",
    );
    expect(json(done.out)).toMatchObject({
      created: false,
      epoch: 4,
      findings: [
        { ...error, severity: "error" },
        { ...warning, severity: "warning" },
      ],
    });
    expect(asked("activateRevision")).toBeUndefined();
  });

  test("makes no revision of what the head says already, and still activates it", async () => {
    const same = { created: false, revision: revisionInfo(3), findings: [] };
    admin.answers = { ...admin.answers, publishRevision: same, activateRevision: { ...activated, created: false } };
    const done = await admin.run("apply", "-f", policy);
    expect([done.code, done.out]).toEqual([0, "Revision 3 says the same already. It is active at epoch 4.\n"]);
  });

  test("publishes only with --no-activate, and tells the present epoch", async () => {
    admin.answers = { ...admin.answers, publishRevision: published };
    const done = await admin.run("apply", "-f", policy, "--no-activate", "-o", "json");
    expect(done.code).toBe(0);
    expect(json(done.out)).toMatchObject({ created: true, revision: 3, epoch: 4 });
  });

  test("only validates with --dry-run", async () => {
    const access = [
      {
        caller: "checkout",
        service: "payments",
        method: "shop.Payments/Refund",
        change: "gains",
        before: "denied",
        after: "allowed",
      },
    ];
    admin.answers = { ...admin.answers, validateRevision: { wouldCreate: true, access, snapshot: digestOf("b") } };
    const done = await admin.run("apply", "-f", policy, "--dry-run", "-o", "json");
    expect(done.code).toBe(0);
    expect(json(done.out)).toMatchObject({ created: false, wouldCreate: true, revision: 3, epoch: 4, access });
    expect(asked("publishRevision")).toBeUndefined();
  });

  test("--dry-run says too that --parent is not the newest revision", async () => {
    admin.answers = { ...admin.answers, validateRevision: { wouldCreate: true, snapshot: digestOf("b") } };
    expect((await admin.run("apply", "-f", policy, "--dry-run", "--parent", "3")).code).toBe(0);
    const done = await admin.run("apply", "-f", policy, "--dry-run", "--parent", "2");
    expect(done).toEqual({ code: 1, out: "", error: "ashlar: the newest revision is 3, not 2\n" });
  });

  test("ends with 1 when somebody else was first", async () => {
    const conflict = () => {
      throw new AshlarError("conflict", "the head is revision 7, not 2");
    };
    admin.answers = { ...admin.answers, publishRevision: conflict };
    const done = await admin.run("apply", "-f", policy, "--parent", "2");
    expect(done).toEqual({ code: 1, out: "", error: "ashlar: the head is revision 7, not 2\n" });
  });

  test("says that a revision was published when its activation fails", async () => {
    const late = () => {
      throw new AshlarError("deadline", "not prepared within 30 s: p-2");
    };
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: late };
    const done = await admin.run("apply", "-f", policy);
    expect(done.code).toBe(1);
    expect([done.out, done.error]).toEqual(["", expect.stringContaining("revision 3 was published")]);
    expect(done.error).toContain("not prepared within 30 s: p-2");
  });

  test("prints JSON too where the revision was published and not activated, as when it lacks approvals", async () => {
    const message = "revision 3 has 0 of 1 approvals";
    const refuse = () => {
      throw new AshlarError("denied", message);
    };
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: refuse };
    const done = await admin.run("apply", "-f", policy, "-o", "json");
    expect([done.code, done.error]).toEqual([1, expect.stringContaining(message)]);
    expect(json(done.out)).toEqual({
      created: true,
      revision: 3,
      epoch: 4,
      activated: false,
      behind: [],
      findings: [],
      digest: digestOf("3"),
      error: { code: "denied", message },
    });
  });

  test("with --wait names who is behind and ends with 1", async () => {
    const slow = proxyInfo("p-2", { epoch: 3, rejectedReason: "unknown field 9", rejectedRevision: 3 });
    const listProxies = { proxies: [proxyInfo("p-1"), slow, proxyInfo("p-3", { live: false, epoch: 1 })] };
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: activated, listProxies };
    const told = await admin.run("apply", "-f", policy, "--wait", "--timeout", "50ms");
    expect(told.out).not.toContain("everywhere"); // it is not
    const done = await admin.run("apply", "-f", policy, "--wait", "--timeout", "50ms", "-o", "json");
    expect(done.code).toBe(1);
    expect(json(done.out)).toMatchObject({ revision: 3, epoch: 4, behind: ["p-2"] });
    expect(done.error).toContain("p-2 (payments v1, at epoch 3, has seen 4, refused revision 3: unknown field 9)");
    expect(done.error).not.toContain("p-3");
  });

  test("a proxy that is stopped is named while it is waited for, and when it is silent", async () => {
    let polls = 0;
    const listProxies = () => {
      polls += 1;
      return { proxies: [proxyInfo("p-1"), proxyInfo("p-2", { epoch: 3, live: polls < 30 })] };
    };
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision: activated, listProxies };
    const done = await admin.run("apply", "-f", policy, "--wait");
    expect(done.code).toBe(0);
    expect(done.error).toContain("waiting for 1 of 2 live proxies: p-2 (payments)\n");
    expect(done.out).toMatch(
      /in force at every live proxy after \d+ ms\. Not heard of, so not counted: p-2 \(payments\)\.\n$/,
    );
  });

  test("a proxy that does not prepare is named meanwhile", async () => {
    let asks = 0;
    const zeros = { desiredEpoch: 0, desiredRevision: 0, receivedEpoch: 0, evaluatingEpoch: 0, evaluatingRevision: 0 };
    const texts = { version: "", reason: "", desiredDigest: "", receivedActivation: "", evaluatingDigest: "" };
    const proxy = {
      id: "p-2",
      service: "payments",
      live: true,
      prepared: false,
      active: false,
      state: "not-prepared",
      ...zeros,
      ...texts,
      lagMs: 0,
      lastSeenMs: 0,
    };
    const getConvergence = () => {
      asks += 1;
      return { proxies: [proxy] };
    };
    const activateRevision = async () => {
      while (asks < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      return activated;
    };
    admin.answers = { ...admin.answers, publishRevision: published, activateRevision, getConvergence };
    const done = await admin.run("apply", "-f", policy);
    expect(done.error).toContain("waiting for proxies to prepare revision 3: p-2 (payments)\n");
  });
});

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
});
