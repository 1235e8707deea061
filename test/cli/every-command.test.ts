/** What holds for every command: help with an example, codes for wrong use and for nobody there, JSON alone on stdout. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Command } from "commander";
import type { Cli } from "../../cli/cli.js";
import { loadCommands } from "../../cli/commands.js";
import {
  activationInfo,
  digestOf,
  type FakeAdmin,
  revisionInfo,
  runWith,
  startFakeAdmin,
  statusInfo,
} from "./fake-admin.js";

const decisionId = "0".repeat(24);
const policy = "policy.yaml";
/** A line that each command takes: files are in the test's folder. */
const lines: Readonly<Record<string, readonly string[]>> = {
  token: ["--service", "payments"],
  "issuer set": ["partner", "--issuer", "https://issuer.test", "--jwks", "keys.json"],
  "issuer list": [],
  "issuer remove": ["partner"],
  "egress set": ["cards", "--address", "cards.test:443"],
  "egress list": [],
  "egress remove": ["cards"],
  revoke: ["payments-a2b3c4d5"],
  recover: [digestOf("a"), "-m", "the fleet is right"],
  "trust show": [],
  "trust rotate": [],
  "trust drop": ["k1"],
  apply: ["-f", policy],
  diff: ["1", "2"],
  log: [],
  show: ["3"],
  approve: ["3"],
  activate: ["3"],
  rollback: [],
  "rollout status": [],
  "rollout list": [],
  "rollout pause": [],
  "rollout resume": [],
  "rollout advance": [],
  "rollout abort": [],
  "shadow start": ["3"],
  "shadow stop": [],
  "shadow status": [],
  wait: ["--timeout", "1s"],
  status: [],
  services: [],
  proxies: [],
  blame: [],
  console: [],
  doctor: [],
  can: ["checkout", "payments/shop.Payments/Charge"],
  "who-can": ["payments/shop.Payments/Charge"],
  audit: [],
  "audit verify": ["--root-hash", digestOf("a")],
  "audit export": ["--output-file", "audit.jsonl"],
  tap: ["--count", "1"],
  top: ["--once"],
  "journal list": [],
  "journal show": ["ledger", "1"],
  "journal replay": ["--service", "ledger", "--target", "v2", "--dry-run"],
  "journal import": ["--give-up", "ledger"],
  "journal resolve": ["ledger", "1", "--outcome", "applied", "-m", "seen"],
  "journal retain": ["--service", "ledger", "--through", "7", "-m", "archived", "--yes"],
  "journal shred": ["ada", "--service", "ledger", "-m", "asked for it", "--yes"],
  "journal holder": [],
  "journal holder set": ["holder.pem"],
  "journal verify": ["--root-hash", digestOf("a")],
  "journal export": ["--service", "ledger", "--output-file", "ledger.jsonl"],
  "nats setup": ["--nats-account", "accounts.json"],
  schema: [],
  test: ["-f", "tests"],
  export: ["3", "--output-dir", "out"],
  import: ["bundle"],
  drift: ["-f", policy],
  decisions: [],
  explain: [decisionId],
  replay: ["--candidate", "3"],
};
const asksNobody = ["schema", "test", "nats setup"];
const needsGoodFile = ["import", "issuer set", "journal holder set"]; // the file is read before anybody is asked

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
  mkdirSync(join(admin.folder, "tests"));
  writeFileSync(join(admin.folder, policy), "kind: Service\nname: payments\n");
  writeFileSync(join(admin.folder, "tests", policy), "kind: Service\nname: payments\n");
  writeFileSync(
    join(admin.folder, "tests", "a.test.yaml"),
    "cases:\n  - { name: n, caller: payments, call: payments/a.B/C, allowed: false }\n",
  );
  writeFileSync(
    join(admin.folder, "garbage"),
    Uint8Array.from({ length: 5000 }, (_, at) => (at * 197 + 131) % 256),
  );
});
afterAll(() => admin.stop());

const inFolder = (word: string): string =>
  [policy, "tests", "bundle", "keys.json", "audit.jsonl", "out", "accounts.json"].includes(word)
    ? join(admin.folder, word)
    : word;
const wordsOf = (name: string): string[] => [...name.split(" "), ...(lines[name] ?? []).map(inFolder)];
const isOneLine = (error: string): void => {
  expect(error).toMatch(/^ashlar: .*\n$/);
  expect(error).not.toMatch(/\n\s+at /);
};

test("the table has every command that asks or prints", async () => {
  const program = new Command();
  for (const add of await loadCommands([])) add(program, {} as Cli);
  const runs = (command: Command): boolean => Reflect.get(command, "_actionHandler") !== null;
  const list = (command: Command, above: string): string[] => {
    const name = `${above} ${command.name()}`.trim();
    return [...(runs(command) ? [name] : []), ...command.commands.flatMap((below) => list(below, name))];
  };
  expect(program.commands.flatMap((command) => list(command, "")).sort()).toEqual(Object.keys(lines).sort());
});

describe.each(Object.keys(lines))("ashlar %s", (name) => {
  test("--help ends with 0 and an example", async () => {
    const { code, out, error } = await admin.run(...name.split(" "), "--help");
    expect([code, error]).toEqual([0, ""]);
    expect(out).toMatch(/Examples?:\n {2}\$ ashlar/);
    expect(out).not.toMatch(/<duration>[^<]*default: \d+\)/s); // a number without a unit
  });

  test("-o json and -o table are formats, or are refused; neither is the name of a file", async () => {
    admin.answers = {};
    for (const format of ["json", "table"])
      await runWith(admin.contextPath, "", [...name.split(" "), ...(lines[name] ?? []).map(inFolder), "-o", format]);
    expect(["json", "table"].filter((each) => existsSync(each))).toEqual([]);
  });

  test("an unknown flag ends with 2 and names it", async () => {
    const { code, out, error } = await admin.run(...wordsOf(name), "--no-such-flag");
    expect([code, out]).toEqual([2, ""]);
    expect(error).toMatch(/^ashlar: unknown option '--no-such-flag'/);
  });

  if (!asksNobody.includes(name) && !needsGoodFile.includes(name))
    test("a control plane that is not there ends with 3 and its address", async () => {
      const done = await runWith(admin.context("gone.json", { admin: "127.0.0.1:9" }), "", wordsOf(name));
      expect([done.code, done.out]).toEqual([3, ""]);
      isOneLine(done.error);
      expect(done.error).toContain("127.0.0.1:9");
    });
});

describe("-o json prints JSON alone", () => {
  const access = { allowed: true, rule: "r", revision: 3, epoch: 4, reason: "so" };
  const answers = {
    getStatus: statusInfo(),
    listProxies: {},
    getConvergence: {},
    listServices: {},
    listRevisions: { revisions: [revisionInfo(3)] },
    getRevision: { revision: revisionInfo(3), yaml: "kind: Service\nname: payments\n" },
    activateRevision: { activation: activationInfo(5, 3) },
    rollback: { activation: activationInfo(5, 2, 3) },
    publishRevision: { revision: revisionInfo(3), created: true },
    checkAccess: access,
    listAccess: { revision: 3, epoch: 4, callers: [] },
    listAudit: { entries: [], chainHolds: true },
    diffRevisions: {},
    listRollouts: { rollouts: [] },
    listTokenIssuers: { issuers: [] },
    listEgresses: { egresses: [] },
    removeTokenIssuer: {},
    createJoinToken: { token: "abc.def" },
    getShadow: {},
  };
  const shown = [
    "token",
    "issuer list",
    "egress list",
    "log",
    "show",
    "activate",
    "rollback",
    "rollout list",
    "shadow status",
    "status",
  ];
  const more = ["services", "proxies", "can", "who-can", "audit", "schema", "test", "diff", "apply"];
  test.each([...shown, ...more])("ashlar %s", async (name) => {
    admin.answers = answers;
    const { code, out, error } = await admin.run(...wordsOf(name), "-o", "json");
    expect([code, error]).toEqual([0, ""]);
    expect(() => JSON.parse(out)).not.toThrow();
  });

  test.each(Object.keys(lines).filter((name) => !asksNobody.includes(name)))(
    "or nothing, where it fails: ashlar %s",
    async (name) => {
      admin.answers = {};
      const { code, out, error } = await admin.run(...wordsOf(name), "-o", "json");
      expect([code > 0, out]).toEqual([true, ""]);
      isOneLine(error);
    },
  );
});

describe("what stands in the place of a file ends with 2, the path, the reason, and nothing written", () => {
  for (const [line, why] of [
    ["apply -f gone", "no such file or folder"],
    ["issuer set partner --issuer https://issuer.test --jwks FOLDER", "it is a folder"],
    ["issuer set partner --issuer https://issuer.test --jwks NOTHING", "it is empty"],
    ["issuer set partner --issuer https://issuer.test --jwks GARBAGE", "it is not UTF-8 text"],
    ["egress set cards --address cards.test:443 --ca FOLDER", "it is a folder"],
    ["egress set cards --address cards.test:443 --ca NOTHING", "it is empty"],
    ["nats setup --nats-account FOLDER", "it is a folder"],
    ["nats setup --nats-account GARBAGE", "it is not JSON"],
    ["nats setup --nats-account GARBAGE/accounts.json", "a part of its path is no folder"],
    ["nats setup --nats-account gone/accounts.json", "no such file or folder"],
    ["import FOLDER", "it is a folder"],
    ["diff --bundle FOLDER", "it is a folder"],
    [`audit verify --root-hash ${digestOf("a")} FOLDER`, "it is a folder"],
    ["status --context FOLDER", "it is a folder"],
  ] as const)
    test(line, async () => {
      mkdirSync(join(admin.folder, "tests", "kept"), { recursive: true });
      writeFileSync(join(admin.folder, "nothing"), "");
      const places = { FOLDER: "tests", GARBAGE: "garbage", NOTHING: "nothing" };
      const place = (word: string) =>
        word.replace(/FOLDER|GARBAGE|NOTHING/, (name) => join(admin.folder, Reflect.get(places, name)));
      const before = readdirSync(admin.folder);
      const { code, out, error } = await admin.run(...line.split(" ").map(place));
      expect([code, out]).toEqual([2, ""]);
      isOneLine(error);
      expect(error).toContain(why);
      expect(error).not.toMatch(/\bE[A-Z]{4,}\b/);
      expect(readdirSync(admin.folder)).toEqual(before);
    });
});

describe("an option that is given twice with two values is refused before anybody is asked", () => {
  const withReason = ["trust rotate", "trust drop", "revoke", "apply", "activate", "approve", "rollback"];
  test.each([...withReason, "rollout pause", "rollout abort", "shadow start", "shadow stop"])("%s -m", async (name) => {
    const before = admin.requests.length;
    const { code, out, error } = await admin.run(...wordsOf(name), "-m", "one", "-m", "two");
    expect([code, out, admin.requests.length - before]).toEqual([2, "", 0]);
    expect(error).toContain("option '-m, --message <text>' is given twice, as 'one' and as 'two'");
  });

  test("token --service, which would be another service's token", async () => {
    const done = await admin.run("token", "--service", "payments", "--service", "orders");
    expect([done.code, done.out]).toEqual([2, ""]);
  });

  test("the same value twice is no contradiction, and --context, as an alias may have it, is the last one", async () => {
    admin.answers = { createJoinToken: { token: "abc.def" } };
    expect((await admin.run("token", "--service", "payments", "--service", "payments")).code).toBe(0);
    expect((await admin.run("--context", "gone", "token", "--service", "a", "--context", admin.contextPath)).code).toBe(
      0,
    );
  });
});

test("help for what is no command ends with 2 and the nearest name", async () => {
  const { code, out, error } = await admin.run("help", "aply");
  expect([code, out]).toEqual([2, ""]);
  expect(error).toMatch(/^ashlar: unknown command 'aply'; did you mean "apply"\?/);
  expect((await admin.run("help", "apply")).code).toBe(0);
});

test("`show -o table` prints the policy as `-o yaml` does", async () => {
  admin.answers = { getRevision: { revision: revisionInfo(3), yaml: "kind: Service\n" } };
  expect((await admin.run("show", "3", "-o", "table")).out).toBe((await admin.run("show", "3")).out);
});

describe("a file that is not what the command takes ends with 2 and one line", () => {
  for (const line of [
    "apply -f FILE",
    "apply -f FILE.proto",
    "apply -f FILE.binpb",
    "diff -f FILE",
    "diff --bundle FILE",
    "drift -f FILE",
    "drift --against FILE",
    "import FILE",
    "replay -f FILE",
    "test -f FILE",
    `audit verify --root-hash ${digestOf("a")} FILE`,
    "issuer set partner --issuer https://issuer.test --jwks FILE",
    "status --context FILE",
  ])
    test(line, async () => {
      const words = line.replace("FILE", join(admin.folder, "garbage")).split(" ");
      const { code, out, error } = await admin.run(...words);
      expect([code, out]).toEqual([2, ""]);
      isOneLine(error);
      expect(error).toContain("garbage");
    });

  test("a policy of more than 8 MiB is refused before anybody is asked", async () => {
    const large = join(admin.folder, "large.yaml");
    writeFileSync(large, `# ${"x".repeat(8 * 1024 * 1024)}\n`);
    const before = admin.requests.length;
    const { code, error } = await admin.run("apply", "-f", large);
    expect([code, admin.requests.length - before]).toEqual([2, 0]);
    isOneLine(error);
    expect(error).toMatch(/too much policy: more than 8388608 bytes/);
  });
});
