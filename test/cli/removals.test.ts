/** Policy that takes a lot away is asked about; policy without any object is refused. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { askAtTerminal } from "../../cli/confirm.js";
import { AshlarError } from "../../core/errors.js";
import { buildSnapshot } from "../../core/snapshot/build.js";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  proxyInfo,
  revisionInfo,
  startFakeAdmin,
  statusInfo,
} from "./fake-admin.js";

const emptySnapshot = buildSnapshot([]).list.digest;
const removed = (kind: string, name: string) => ({ change: "removed", kind, name, lines: [] });

let admin: FakeAdmin;
let policy: string;
beforeAll(async () => {
  admin = await startFakeAdmin();
  policy = join(admin.folder, "policy.yaml");
  writeFileSync(policy, "kind: Service\nname: cart\n");
  mkdirSync(join(admin.folder, "empty"));
  writeFileSync(join(admin.folder, "empty", "a.yaml"), "# nothing\n");
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = {
    getStatus: statusInfo(),
    listProxies: { proxies: [proxyInfo("p-1"), proxyInfo("p-2"), proxyInfo("p-3", { live: false })] },
    diffRevisions: { objects: [removed("Service", "payments")], fromObjects: 4, toSnapshot: digestOf("b") },
    validateRevision: { wouldCreate: true, snapshot: digestOf("b") },
    publishRevision: { created: true, revision: revisionInfo(4), findings: [] },
    activateRevision: { activation: activationInfo(5, 4), created: true, tookMs: 5 },
  };
  admin.requests.length = 0;
});
const asked = (method: string): unknown => admin.requests.find((one) => one.method === method)?.request;
const live = "policy: warning: it takes away service payments, which has 2 live proxies: p-1, p-2\n";

test("where the policy in force is lost, what a plan takes away is not known: it wants --yes, and goes on with it", async () => {
  admin.answers.diffRevisions = () => {
    throw new AshlarError("stale", "the unit cart (d1) is lost");
  };
  const asking = await admin.run("apply", "-f", policy);
  expect([asking.code, asking.error]).toEqual([
    1,
    expect.stringContaining("cannot be read: the unit cart (d1) is lost"),
  ]);
  expect(asked("publishRevision")).toBeUndefined();
  expect((await admin.run("apply", "-f", policy, "--yes")).code).toBe(0);
});

describe("a plan that takes away a service with live proxies", () => {
  test("is refused without a terminal, names the proxies, and nothing is published", async () => {
    const done = await admin.run("apply", "-f", policy, "-o", "json");
    expect([done.code, done.out]).toEqual([1, ""]);
    expect(done.error).toBe(
      `${live}ashlar: nothing was published: it takes a lot away, and there is no terminal to ask: look at it with --dry-run, and give --yes if it is meant\n`,
    );
    expect(asked("publishRevision")).toBeUndefined();
    expect(asked("diffRevisions")).toMatchObject({ from: undefined, namesOnly: true });
  });

  test("is done with --yes, with the warning among the findings", async () => {
    const done = await admin.run("apply", "-f", policy, "--yes", "-o", "json");
    expect([done.code, done.error]).toEqual([0, live]);
    expect(JSON.parse(done.out)).toMatchObject({ created: true, findings: [{ severity: "warning", line: 0 }] });
  });

  test("is done or not as whoever sits at a terminal answers", async () => {
    expect((await admin.runAtTerminal(true, "apply", "-f", policy)).code).toBe(0);
    admin.requests.length = 0;
    const done = await admin.runAtTerminal(false, "apply", "-f", policy);
    expect([done.code, done.out]).toEqual([1, ""]);
    expect(done.error).toMatch(/ashlar: nothing was published: the answer was no\n$/);
    expect(asked("publishRevision")).toBeUndefined();
  });

  test("is not asked about where the terminal's input is the policy", async () => {
    const done = await admin.runAtTerminal(true, "apply", "-f", "-");
    expect(done.error).toMatch(/there is no terminal to ask/);
  });

  test("is only told of by --dry-run, which says that --yes will be wanted", async () => {
    const done = await admin.run("apply", "-f", policy, "--dry-run", "-o", "json");
    expect([done.code, done.error]).toEqual([0, live]);
    expect(JSON.parse(done.out)).toMatchObject({ wantsYes: true, findings: [{ severity: "warning" }] });
  });

  test("takes nothing away while it is only published", async () => {
    const done = await admin.run("apply", "-f", policy, "--no-activate");
    expect([done.code, done.error]).toEqual([0, ""]);
  });

  test("a service without live proxies goes without a question", async () => {
    admin.answers.listProxies = { proxies: [proxyInfo("p-3", { live: false })] };
    expect(await admin.run("apply", "-f", policy)).toMatchObject({ code: 0, error: "" });
  });
});

describe("a plan that takes away more than half of all objects", () => {
  const half = [removed("Route", "a"), removed("Route", "b")];

  test("is refused without --yes and lists them", async () => {
    admin.answers.diffRevisions = { objects: half, fromObjects: 3, toSnapshot: digestOf("b") };
    const done = await admin.run("apply", "-f", policy);
    expect(done.code).toBe(1);
    expect(done.error).toContain("policy: warning: it takes away 2 of 3 objects: Route a, Route b\n");
  });

  test("exactly half is not more than half, and a control plane that counts nothing is not asked", async () => {
    for (const fromObjects of [4, 0]) {
      admin.answers.diffRevisions = { objects: half, fromObjects, toSnapshot: digestOf("b") };
      expect(await admin.run("apply", "-f", policy)).toMatchObject({ code: 0, error: "" });
    }
  });
});

describe("policy without any object", () => {
  beforeEach(() => {
    admin.answers.diffRevisions = {
      objects: [removed("Service", "payments")],
      fromObjects: 1,
      toSnapshot: emptySnapshot,
    };
    admin.answers.validateRevision = { wouldCreate: true, snapshot: emptySnapshot };
  });

  for (const [name, argv] of [
    ["a file of comments", ["apply", "-f", "empty"]],
    ["an empty pipe", ["apply", "-f", "-"]],
    ["a dry run of it", ["apply", "-f", "empty", "--dry-run"]],
    ["though --yes is given", ["apply", "-f", "empty", "--yes", "-o", "json"]],
  ] as const)
    test(`is refused with 2: ${name}`, async () => {
      const done = await admin.run(...argv.map((word) => (word === "empty" ? join(admin.folder, word) : word)));
      expect([done.code, done.out]).toEqual([2, ""]);
      expect(done.error).toMatch(/^ashlar: nothing was published: the files hold no object at all.*--allow-empty/);
      expect(asked("publishRevision")).toBeUndefined();
    });

  test("--allow-empty says that it is meant, and is handed over", async () => {
    const done = await admin.run("apply", "-f", "-", "--allow-empty");
    expect(done.code).toBe(0);
    expect(done.error).toContain("it takes away service payments");
    expect(asked("publishRevision")).toMatchObject({ allowEmpty: true });
  });
});

test("the answer at a terminal is yes only for y and yes; Ctrl-C and Ctrl-D are no", async () => {
  for (const [typed, expected] of [
    ["y\n", true],
    [" Yes \n", true],
    ["\n", false],
    ["n\n", false],
    ["yep\n", false],
    ["\x03", false],
    ["\x04", false],
  ] as const) {
    const input = new PassThrough();
    const answer = askAtTerminal("Apply it? ", { input, output: new PassThrough() });
    input.write(typed);
    expect(await answer).toBe(expected);
  }
});
