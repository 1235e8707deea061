import { statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { defaultContextPath } from "../../cli/context.js";
import { AshlarError, errorCodes } from "../../core/errors.js";
import { type FakeAdmin, runWith, startFakeAdmin, statusInfo } from "./fake-admin.js";

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
  admin.answers = { getStatus: statusInfo(), listProxies: {} };
});
afterAll(() => admin.stop());

const clear = (text: string): void => {
  expect(text).not.toMatch(/\n\s+at /);
  expect(text.trim().split("\n")).toHaveLength(1);
};

describe("exit code 0", () => {
  test("done, help and version", async () => {
    expect((await admin.run("status")).code).toBe(0);
    expect((await admin.run("--help")).code).toBe(0);
    expect((await admin.run("apply", "--help")).code).toBe(0);
    expect(await admin.run("--version")).toMatchObject({ code: 0, out: "0.0.0-test\n" });
  });

  test("--context is taken before and after the command", async () => {
    for (const argv of [
      ["--context", admin.contextPath, "status"],
      ["status", "--context", admin.contextPath],
    ]) {
      expect((await runWith("/nowhere/admin.json", "", argv)).code).toBe(0);
    }
  });

  test("up and proxy run in this very process, with their own arguments", async () => {
    expect(await admin.run("up", "--data", "d", "-o", "x")).toMatchObject({ code: 0, out: "up --data d -o x\n" });
    expect(await admin.run("help", "proxy")).toMatchObject({ code: 0, out: "proxy --help\n" });
  });
});

describe("exit code 2: wrong use", () => {
  for (const [what, ...argv] of [
    ["no command"],
    ["an unknown command", "aply"],
    ["an unknown flag", "status", "--verbose"],
    ["a format that there is not", "status", "-o", "xml"],
    ["an argument too many", "status", "now"],
    ["a missing flag", "apply"],
    ["a file that is not there", "apply", "-f", "/nowhere/policy.yaml"],
    ["a threshold above 100", "apply", "-f", "x", "--threshold", "101%"],
    ["a duration that is none", "wait", "--timeout", "soon"],
    ["revision zero", "activate", "0"],
    ["stages that do not end at 100%", "apply", "-f", "x.yaml", "--stages", "1,10%"],
    ["stages that shrink", "activate", "3", "--stages", "50%,10%,100%"],
    ["a gate that is none", "activate", "3", "--stages", "1,100%", "--gate", "colour=red"],
    ["stages of nothing", "apply", "-f", "x.yaml", "--stages", "1,100%", "--no-activate"],
    ["waiting for nothing", "apply", "-f", "x.yaml", "--wait", "--no-activate"],
    ["a hold without stages", "activate", "3", "--hold", "5s"],
    ["no word for what to do with a rollout", "rollout", "stop"],
    ["a method without a service", "can", "checkout", "Charge"],
    ["a service's name that is none", "token", "--service", "Not A Label"],
  ] as const) {
    test(what, async () => {
      const done = await admin.run(...argv);
      expect([done.code, done.out]).toEqual([2, ""]);
      expect(done.error).not.toMatch(/\n\s+at /);
    });
  }

  test("a folder without policy files does not mean an empty policy", async () => {
    const done = await admin.run("apply", "-f", join(admin.folder, "empty"));
    expect(done.code).toBe(2);
  });

  test("no context: the path and what to do", async () => {
    const done = await runWith(join(admin.folder, "missing.json"), "", ["status"]);
    expect(done.code).toBe(2);
    clear(done.error);
    expect(done.error).toContain(`no context at ${join(admin.folder, "missing.json")}`);
    for (const way of ["--context FILE", "ASHLAR_CONTEXT=FILE", "it printed the path"])
      expect(done.error).toContain(way);
  });

  test("a garbled context: what is wrong with it, without a word of its key", async () => {
    const garbled = join(admin.folder, "garbled.json");
    writeFileSync(garbled, '{"key": "-----BEGIN SECRET', { mode: 0o600 });
    expect(statSync(garbled).mode & 0o777).toBe(0o600);
    for (const [path, why] of [
      [garbled, "it is not JSON"],
      [admin.context("a.json", { admin: undefined }), '"admin" is missing'],
      [admin.context("b.json", { admin: "here" }), '"admin" has to be HOST:PORT'],
      [admin.context("c.json", { ca: "nothing" }), '"ca" is not PEM'],
      [
        admin.context("d.json", { key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" }),
        "cannot be used",
      ],
    ] as const) {
      const done = await runWith(path, "", ["status"]);
      expect([path, done.code]).toEqual([path, 2]);
      clear(done.error);
      expect(done.error).toContain(why);
      expect(done.error).not.toContain("SECRET");
    }
  });
});

describe("exit code 1: refused or failed", () => {
  test("a control plane's own error keeps its words, and its code says how the command ends", async () => {
    for (const code of errorCodes) {
      admin.answers.getRevision = () => {
        throw new AshlarError(code, `said ${code}`);
      };
      const done = await admin.run("show", "9");
      const expected = code === "invalid_argument" ? 2 : code === "unavailable" ? 3 : 1;
      expect([code, done.code]).toEqual([code, expected]);
      expect(done.error).toBe(code === "internal" ? "ashlar: internal error\n" : `ashlar: said ${code}\n`);
    }
  });
});

describe("exit code 3: could not reach", () => {
  const unreachable = async (path: string): Promise<string> => {
    const done = await runWith(path, "", ["status"]);
    expect([done.code, done.out]).toEqual([3, ""]);
    clear(done.error);
    return done.error;
  };

  test("nobody listens: the address", async () => {
    const address = await freeAddress();
    const said = await unreachable(admin.context("nobody.json", { admin: address }));
    expect(said).toContain(`could not reach the control plane at ${address}`);
  });

  test("a server of another mesh is not talked to", async () => {
    const other = await startFakeAdmin();
    expect(await unreachable(admin.context("other.json", { admin: other.address }))).toContain(other.address);
    expect(other.requests).toEqual([]);
    other.stop();
  });

  test("a server of this mesh that is no control plane is not talked to", async () => {
    const service = await startFakeAdmin("spiffe://test/service/payments");
    service.answers = { getStatus: statusInfo(), listProxies: {} };
    const done = await service.run("status");
    expect([done.code, service.requests]).toEqual([3, []]);
    expect(done.error).toContain("not a control plane");
    service.stop();
  });
});

test("the default context is in the user's configuration folder", () => {
  expect(defaultContextPath({}, "/home/u")).toBe("/home/u/.config/ashlar/admin.json");
  expect(defaultContextPath({ XDG_CONFIG_HOME: "/etc/u" }, "/home/u")).toBe("/etc/u/ashlar/admin.json");
  expect(defaultContextPath({ XDG_CONFIG_HOME: "relative" }, "/home/u")).toBe("/home/u/.config/ashlar/admin.json");
});

/** An address that was free a moment ago. */
async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}
