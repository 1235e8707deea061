import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { parseUpConfig } from "../../control-plane/config.js";
import { DataFolder } from "../../control-plane/data-folder.js";

const parse = (flags: Record<string, unknown>, env: Record<string, string> = {}) =>
  parseUpConfig({ flags, env, file: {} }, "/work-here");

describe("the settings of up", () => {
  test("by default it is a mesh of its own on loopback, in the user's state folder", () => {
    expect(parse({}, { HOME: "/home/ann" })).toMatchObject({
      dataDir: "/home/ann/.local/state/ashlar",
      mesh: undefined,
      admin: { host: "127.0.0.1", port: 7420, isGiven: false },
      nats: { kind: "own" },
    });
    expect(parse({}, { XDG_STATE_HOME: "/state" }).dataDir).toBe("/state/ashlar");
  });

  test("every bad value is reported at once", () => {
    const read = () => parse({ mesh: "No_Mesh", listen: "nowhere", nats: "http://x" });
    expect(read).toThrow(/--mesh.*\n.*--listen.*\n.*--nats/s);
  });

  test("the console: its address, certificate and names, in absolute paths and lower case", () => {
    expect(parse({}).console).toBeUndefined();
    const flags = { console: "0.0.0.0:7422", consoleCert: "c.pem, k.pem", consoleHost: ["Mesh.Example.org"] };
    expect(parse(flags).console).toEqual({
      listen: { host: "0.0.0.0", port: 7422, isGiven: true },
      certificate: { certificateFile: "/work-here/c.pem", keyFile: "/work-here/k.pem" },
      plain: false,
      hosts: ["mesh.example.org"],
    });
  });

  for (const [flags, why] of [
    [{ console: "x" }, "--console: expected HOST:PORT"],
    [{ consolePlain: true }, "--console-plain is given without --console HOST:PORT"],
    [{ console: "0.0.0.0:1", consolePlain: true }, "expected a loopback address in --console"],
    [{ console: "127.0.0.1:1", consolePlain: true, consoleCert: "a,b" }, "give one of them"],
    [{ console: "127.0.0.1:1", consoleCert: "a" }, "--console-cert: expected CERT,KEY"],
    [{ console: "127.0.0.1:1", consoleHost: ["a:1"] }, "--console-host: expected a host name without a port"],
  ] as const) {
    test(`${JSON.stringify(flags)} is refused`, () => expect(() => parse(flags)).toThrow(why));
  }

  test("--join names the mesh to be one more control plane of, and --token alone makes no sense", () => {
    const { membership } = parse({ join: "first/join.json", token: "/t" });
    expect(membership).toEqual({ joinFile: "/work-here/first/join.json", tokenFile: "/t" });
    expect(parse({ join: "j" }).membership?.tokenFile).toBeUndefined();
    expect(() => parse({ token: "t" })).toThrow("--token is given without --join");
  });

  test("ASHLAR_TOKEN and ASHLAR_JOIN may be meant for proxies started from the same environment", () => {
    expect(parse({ data: "d" }, { ASHLAR_TOKEN: "t", ASHLAR_JOIN: "j" }).membership).toBeUndefined();
  });
});

describe("the data folder", () => {
  let path: string;
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), "ash-folder-"));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));

  test("one process at a time has it, and it is free again after close", async () => {
    const first = await DataFolder.open(path);
    await expect(DataFolder.open(path)).rejects.toMatchObject({ code: "exists" });
    first.close();
    (await DataFolder.open(path)).close();
  });

  for (const [name, lock] of [
    ["of a process that is gone", JSON.stringify({ pid: 2 ** 22 + 1, started: "1" })],
    ["of another process that got the same id", JSON.stringify({ pid: process.pid, started: "long ago" })],
    ["that was torn", "{"],
  ] as const) {
    test(`a lock ${name} is taken over`, async () => {
      writeFileSync(join(path, "lock.json"), lock);
      (await DataFolder.open(path)).close();
    });
  }

  test("of many that find a stale lock at the same time, one gets it", async () => {
    writeFileSync(join(path, "lock.json"), JSON.stringify({ pid: 2 ** 22 + 1, started: "1" }));
    const opened = await Promise.allSettled(Array.from({ length: 8 }, () => DataFolder.open(path)));
    expect(opened.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("it belongs to the mesh that it was made for", async () => {
    const folder = await DataFolder.open(path);
    expect(folder.claim(undefined, "mesh")).toBe("mesh");
    expect(folder.claim("mesh", "other")).toBe("mesh");
    expect(() => folder.claim("other", "mesh")).toThrow(/belongs to mesh "mesh", not "other"/);
    folder.close();
  });
});
