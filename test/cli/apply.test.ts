import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { AshlarError } from "../../core/errors.js";
import { activationInfo, digestOf, type FakeAdmin, proxyInfo, revisionInfo, startFakeAdmin } from "./fake-admin.js";
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
