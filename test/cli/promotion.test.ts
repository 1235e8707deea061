import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { buildSnapshot } from "../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { encodeBundle } from "../../core/wire/bundle.js";
import { signRevision, signTrust } from "../../core/wire/records.js";
import { buildRevision, buildTrust, createTestKey, testMesh } from "../support/records.js";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  proxyInfo,
  revisionInfo,
  startFakeAdmin,
  statusInfo,
} from "./fake-admin.js";

const [root, key] = [createTestKey(), createTestKey()];
const bundleOf = (policy: string) => {
  const parsed = parsePolicyFiles([{ name: "a", content: policy }]);
  const snapshot = buildSnapshot(parsed.objects.map(({ object }) => object));
  const revision = { ...buildRevision(undefined), snapshot: snapshot.list.digest, changes: [] };
  const bundle = encodeBundle({
    mesh: testMesh,
    rootPublicKey: root.publicKey,
    trust: signTrust(buildTrust([key]), testMesh, root.signer),
    revision: signRevision(revision, testMesh, key.signer),
    snapshot,
  });
  return { snapshot, bundle };
};
const policy = "kind: Service\nname: payments\n---\nkind: Service\nname: checkout\n";
const { snapshot, bundle } = bundleOf(policy);

let admin: FakeAdmin;
let folders = 0;
beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = {
    exportRevision: { revision: revisionInfo(1), bundle: Buffer.from(bundle) },
    importRevision: { created: true, revision: revisionInfo(7), findings: [] },
    activateRevision: { activation: activationInfo(9, 7), created: true, tookMs: 4 },
    getStatus: statusInfo(),
    diffRevisions: {},
    listProxies: { proxies: [proxyInfo("p-1"), proxyInfo("p-2", { active: false })] },
  };
  admin.requests.length = 0;
});

const asked = (method: string): unknown => admin.requests.find((one) => one.method === method)?.request;
const fresh = (): string => {
  folders += 1;
  return join(admin.folder, `export-${folders}`);
};

describe("export", () => {
  test("writes a file for each service, and the bundle as it came", async () => {
    const folder = fresh();
    const file = `${folder}.ashlar`;
    const done = await admin.run("export", "1", "-o", folder, "--bundle", file);
    expect([done.code, done.error]).toEqual([0, ""]);
    expect(readdirSync(folder).sort()).toEqual(["checkout.yaml", "payments.yaml"]);
    expect(readFileSync(join(folder, "payments.yaml"), "utf8")).toBe("kind: Service\nname: payments\n");
    expect(Buffer.compare(readFileSync(file), bundle)).toBe(0);
    expect(asked("exportRevision")).toMatchObject({ number: 1 });
  });

  test("refuses a folder with other policy in it, and removes that only if asked to", async () => {
    const folder = fresh();
    mkdirSync(folder);
    writeFileSync(join(folder, "old.yaml"), "kind: Service\nname: old\n");
    writeFileSync(join(folder, "old.test.yaml"), "cases: []\n");
    writeFileSync(join(folder, "README.md"), "not policy\n");
    const refused = await admin.run("export", "--out", folder);
    expect(refused.code).toBe(1);
    expect(refused.error).toContain("old.yaml");
    expect(readdirSync(folder)).toHaveLength(3);
    expect((await admin.run("export", "--out", folder, "--replace")).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(["README.md", "checkout.yaml", "old.test.yaml", "payments.yaml"]);
  });

  test("writes nothing of a bundle that does not hold", async () => {
    const folder = fresh();
    admin.answers.exportRevision = { bundle: Buffer.from(bundle.subarray(0, -1)) };
    const done = await admin.run("export", "--out", folder);
    expect(done.code).toBe(1);
    expect(done.error).toMatch(/^ashlar: bundle: .*\n$/);
    expect(() => readdirSync(folder)).toThrow();
  });

  test("needs to know where to", async () => {
    expect((await admin.run("export", "1")).code).toBe(2);
  });

  test("-o json and -o yaml are formats, and --output-dir or ./json name a folder", async () => {
    const printed = await admin.run("export", "1", "-o", "json");
    expect([printed.code, printed.error]).toEqual([0, ""]);
    const { files } = JSON.parse(printed.out) as { files: { name: string; content: string }[] };
    expect(files.map(({ name }) => name)).toEqual(["checkout.yaml", "payments.yaml"]);
    const yaml = await admin.run("export", "1", "-o", "yaml");
    expect(yaml.out.split("---\n")).toEqual(files.map(({ content }) => content));
    expect((await admin.run("export", "1", "-o", "table")).out).toBe(yaml.out);
    const folder = join(fresh(), "json");
    const both = await admin.run("export", "1", "--output-dir", folder, "-o", "json");
    expect(JSON.parse(both.out)).toMatchObject({ revision: 1, outputDir: folder });
    expect(both.error).toBe(`Revision 1 is in 2 files in ${folder}.\n`);
    expect(readdirSync(folder)).toHaveLength(2);
  });
});

/** Joined by characters that are not shown, which terminals and tables get as escapes. */
const family = "\u{1f469}\u200d\u{1f467}";

test("what show and export print is the policy as it is, or applying it again would make another revision", async () => {
  const when = `request.headers["x-who"] == "${family}"`;
  const policy = `kind: Service
name: payments
---
kind: Authorization
name: family
service: payments
allow:
  - from:
      - "*"
    when: ${when}
`;
  const { bundle, snapshot } = bundleOf(policy);
  admin.answers.exportRevision = { revision: revisionInfo(1), bundle: Buffer.from(bundle) };
  admin.answers.getRevision = { revision: revisionInfo(1), yaml: policy };
  for (const line of [
    ["export", "-o", "yaml"],
    ["show", "1"],
  ]) {
    const { out } = await admin.run(...line);
    expect(out).toContain(when);
    expect(bundleOf(out).snapshot.list.digest).toBe(snapshot.list.digest);
  }
});

describe("import", () => {
  const write = (bytes: Uint8Array): string => {
    const path = `${fresh()}.ashlar`;
    writeFileSync(path, bytes);
    return path;
  };

  test("publishes the bytes, activates, and says where they come from", async () => {
    const done = await admin.run("import", write(bundle), "-m", "release 4", "--parent", "6", "-o", "json");
    expect([done.code, done.error]).toEqual([0, ""]);
    expect(JSON.parse(done.out)).toMatchObject({
      created: true,
      revision: 7,
      epoch: 9,
      snapshot: snapshot.list.digest,
      from: { mesh: testMesh, revision: 1 },
    });
    expect(asked("importRevision")).toMatchObject({ bundle: Buffer.from(bundle), message: "release 4", parent: 6 });
    const only = await admin.run("import", write(bundle), "--no-activate");
    expect(only.out).toBe("Revision 7 is published, as revision 1 of mesh test.mesh says it. Not activated.\n");
  });

  test("of what is no bundle, cut short or not there asks nobody and is one clear line", async () => {
    const cases = [
      [write(Buffer.from("hello")), 2, /not a file that `ashlar export --bundle` wrote/],
      [write(bundle.subarray(0, 200)), 1, /bundle: /],
      [join(admin.folder, "nothing"), 2, /cannot read/],
    ] as const;
    for (const [path, code, message] of cases) {
      const done = await admin.run("import", path);
      expect(done.code).toBe(code);
      expect(done.error).toMatch(message);
      expect(done.error.trim().split("\n")).toHaveLength(1);
    }
    expect(admin.requests).toEqual([]);
  });
});

describe("drift", () => {
  const policyFile = (): string => {
    const path = `${fresh()}.yaml`;
    writeFileSync(path, policy);
    return path;
  };
  const change = { change: "removed", kind: "Service", name: "cart", lines: ["-kind: Service"] };

  test("ends with 0 where the digests are the same, and names proxies that do not run it", async () => {
    admin.answers.diffRevisions = { fromSnapshot: digestOf("a"), toSnapshot: digestOf("a") };
    const done = await admin.run("drift", "-f", policyFile());
    expect([done.code, done.error]).toEqual([0, ""]);
    expect(done.out).toBe(`No drift: revision 3, snapshot ${digestOf("a")}. 1 proxy does not run it: p-2.\n`);
    expect(asked("diffRevisions")).toMatchObject({ to: { side: { $case: "revision", value: 0 } } });
  });

  test("ends with 1 and says what differs", async () => {
    admin.answers.diffRevisions = { fromSnapshot: digestOf("a"), toSnapshot: digestOf("b"), objects: [change] };
    const path = `${fresh()}.ashlar`;
    writeFileSync(path, bundle);
    const done = await admin.run("drift", "--against", path, "-o", "json");
    expect(done.code).toBe(1);
    expect(done.error).toBe(`ashlar: the mesh does not run what ${path} says: active is revision 3\n`);
    const value = { drift: true, revision: 3, epoch: 4, objects: [change], access: [], behind: ["p-2"] };
    expect(JSON.parse(done.out)).toMatchObject({
      ...value,
      snapshot: { wanted: digestOf("a"), active: digestOf("b") },
    });
  });

  test("wants files or a bundle, and compares nothing that has errors", async () => {
    expect((await admin.run("drift")).code).toBe(2);
    const finding = { severity: 1, file: "a.yaml", line: 1, column: 1, field: "", message: "unknown field" };
    admin.answers.diffRevisions = { findings: [finding] };
    const done = await admin.run("drift", "-f", policyFile());
    expect(done.code).toBe(1);
    expect(done.error).toContain("a.yaml:1:1: error: unknown field");
  });
});

test("diff takes proxies and bundles as sides, in the order of the command line", async () => {
  admin.answers.diffRevisions = {};
  await admin.run("diff", "--proxy", "p-1", "3");
  expect(asked("diffRevisions")).toMatchObject({
    from: { side: { $case: "proxy", value: "p-1" } },
    to: { side: { $case: "revision", value: 3 } },
  });
  admin.requests.length = 0;
  await admin.run("diff", "3", "--proxy", "p-1");
  expect(asked("diffRevisions")).toMatchObject({ from: { side: { value: 3 } }, to: { side: { value: "p-1" } } });
  admin.requests.length = 0;
  await admin.run("diff", "--proxy", "p-1", "--proxy", "p-2");
  expect(asked("diffRevisions")).toMatchObject({ from: { side: { value: "p-1" } }, to: { side: { value: "p-2" } } });
});

test("apply --dry-run is a plan that programs read", async () => {
  const path = `${fresh()}.yaml`;
  writeFileSync(path, policy);
  const object = { change: "added", kind: "Service", name: "cart", lines: ["+kind: Service"] };
  const access = { caller: "*", service: "cart", method: "*", change: "gains", before: "denied", after: "allowed" };
  const answer = { wouldCreate: true, snapshot: digestOf("b"), objects: [object], access: [access] };
  admin.answers.validateRevision = answer;
  const done = await admin.run("apply", "-f", path, "--dry-run", "-o", "json");
  expect(JSON.parse(done.out)).toEqual({
    created: false,
    wouldCreate: true,
    wouldActivate: true,
    wantsYes: false,
    parent: 3,
    revision: 3,
    epoch: 4,
    findings: [],
    snapshot: digestOf("b"),
    objects: [object],
    access: [access],
  });
  admin.answers = { validateRevision: { ...answer, wouldCreate: false }, getStatus: statusInfo(), diffRevisions: {} };
  expect(JSON.parse((await admin.run("apply", "-f", path, "--dry-run", "-o", "json")).out)).toMatchObject({
    wouldCreate: false,
    wouldActivate: false,
  });
});
