/** Settings of the services of one process: their own, those of the process, and what is wrong with them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import type { Command } from "commander";
import { createProxyCommand } from "../../../data-plane/command.js";
import { createControlProgram } from "../../../data-plane/host/command.js";
import { parseHostConfig } from "../../../data-plane/host/host-config.js";
import { KeptServices } from "../../../data-plane/host/kept-services.js";
import {
  claimedAddresses,
  ownSettings,
  parseServiceSettings,
  processSettings,
  sharedSettings,
} from "../../../data-plane/host/service-settings.js";
import { readServicesFile } from "../../../data-plane/host/services-file.js";

const folder = mkdtempSync(join(tmpdir(), "ash-host-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const host = {
  dataDir: "/d",
  flags: {
    join: "/mesh/join.json",
    grace: "3s",
    service: "front",
    inbound: "127.0.0.1:1",
    upstream: ["x=127.0.0.1:2"],
  },
  env: { ASHLAR_BUFFER_MIB: "8MiB", ASHLAR_INBOUND: "127.0.0.1:9", ASHLAR_GRACE: "9s", HOME: "/home/someone" },
  file: { "header-kib": "128KiB", "buffer-mib": "16MiB", label: ["a=b"] },
};

describe("what a service has", () => {
  test("its own settings alone, the shared ones of the process, and a folder in that of the process", () => {
    const config = parseServiceSettings({ service: "ledger", agent: true, inbound: "127.0.0.1:0" }, host, "f:1", "/");
    expect(config).toMatchObject({
      service: "ledger",
      join: "/mesh/join.json",
      dataDir: "/d/services/ledger",
      agent: "/d/services/ledger/run/agent.sock",
      outbound: { path: "/d/services/ledger/run/outbound.sock" },
      inbound: { host: "127.0.0.1", port: 0 },
      graceMs: 3000,
      bufferBytesMax: 8 * 1024 * 1024,
      headerBytesMax: 128 * 1024,
      upstreams: [],
      labels: [],
    });
  });

  test("its own value wins over the process's", () => {
    const config = parseServiceSettings({ service: "ledger", grace: "7s", join: "/other.json" }, host, "f:1", "/");
    expect(config).toMatchObject({ graceMs: 7000, join: "/other.json" });
  });
});

describe("what is refused, with the place", () => {
  const refused: readonly [string, Record<string, string | number>, string][] = [
    [
      "a setting that is none",
      { service: "a", inbond: "x" },
      'f:3: a: "inbond" is no setting of a service; did you mean "inbound"?',
    ],
    [
      "a setting of the process",
      { service: "a", "log-level": "debug" },
      'f:3: a: "log-level" is given once, for the process',
    ],
    ["a bad value", { service: "a", inbound: "nowhere" }, 'f:3: a: --inbound: expected HOST:PORT, got "nowhere"'],
    [
      "standard input for a token",
      { service: "a", token: "-" },
      "f:3: a: token: expected a file; standard input is for one",
    ],
    ["a bad name", { service: "A_b" }, 'f:3: A_b: --service: expected 1 to 63 of a-z, 0-9 and "-", got "A_b"'],
    [
      "an open address",
      { service: "a", outbound: "0.0.0.0:1" },
      "f:3: a: --outbound: 0.0.0.0 is not a loopback address",
    ],
  ];
  test.each(refused)("%s", (_, settings, message) => {
    expect(() => parseServiceSettings(settings, host, "f:3", "/")).toThrow(message);
  });

  test("settings of one service without --service", () => {
    const flags = { services: "s.yaml", join: "j", inbound: "127.0.0.1:1", app: "unix:a", workers: "2" };
    expect(() => parseHostConfig({ flags, env: {}, file: {} }, "/")).toThrow(
      /^--app belongs to one service: give --service too, or put it into --services\n--inbound belongs to one service: [^\n]*$/,
    );
  });
});

test("the process has a folder and a status of its own without --service", () => {
  const flags = { services: "s.yaml", join: "j", status: "127.0.0.1:7" };
  const config = parseHostConfig({ flags, env: { XDG_STATE_HOME: "/state" }, file: {} }, "/");
  expect(config).toMatchObject({
    primary: undefined,
    dataDir: "/state/ashlar/host",
    status: { host: "127.0.0.1", port: 7 },
  });
});

test("every flag of `ashlar proxy` is a setting of a service, or of the process, and `add` takes the former", () => {
  const flags = (command: Command): string[] => command.options.map((option) => option.name()).sort();
  const ofService = [...ownSettings, ...sharedSettings];
  expect(flags(createProxyCommand(() => {}))).toEqual([...ofService, ...processSettings, "config", "services"].sort());
  const add = createControlProgram().commands.find((command) => command.name() === "add");
  expect(add && flags(add)).toEqual([...ofService, "output"].sort());
});

test("addresses that two services cannot share; port 0 is nobody's", () => {
  const settings = {
    service: "a",
    inbound: "127.0.0.1:0",
    status: "127.0.0.1:5",
    upstream: ["b=unix:/x", "c=127.0.0.1:6"],
  };
  const config = parseServiceSettings(settings, host, "f", "/");
  expect(claimedAddresses(config)).toEqual(["/d/services/a/run/outbound.sock", "127.0.0.1:5", "/x", "127.0.0.1:6"]);
});

describe("the file of services", () => {
  const write = (text: string): string => {
    const path = join(folder, "services.yaml");
    writeFileSync(path, text);
    return path;
  };

  test("gives each with its line", async () => {
    const path = write(
      "# two\n- service: a\n  upstream: [b=127.0.0.1:1, c=127.0.0.1:2]\n- { service: b, workers: 2 }\n",
    );
    expect(await readServicesFile(path)).toEqual([
      { place: `${path}:2`, settings: { service: "a", upstream: ["b=127.0.0.1:1", "c=127.0.0.1:2"] } },
      { place: `${path}:4`, settings: { service: "b", workers: 2 } },
    ]);
  });

  const broken: readonly [string, string, RegExp][] = [
    ["no list", "service: a\n", /services.yaml: expected a list of services/],
    ["an item that is no mapping", "- service: a\n- b\n", /services.yaml:2: expected the settings of a service/],
    ["an item without a name", "- inbound: 127.0.0.1:1\n", /services.yaml:1: service: expected the name/],
    ["a mapping as a value", "- service: a\n  app: { path: x }\n", /services.yaml:1: app: expected a value or a list/],
    ["what is no YAML", "- service: a\n  - b: [\n", /services.yaml:\d: /],
    ["an alias", "- &a { service: a }\n- *a\n", /services.yaml/],
    ["too many", "- service: a\n".repeat(257), /expected at most 256 services, got 257/],
  ];
  test.each(broken)("refuses %s", async (_, text, message) => {
    await expect(readServicesFile(write(text))).rejects.toThrow(message);
  });

  test("says that a file is not there", async () => {
    await expect(readServicesFile("/nowhere/s.yaml")).rejects.toThrow(
      "--services: cannot read /nowhere/s.yaml: no such file or folder",
    );
  });
});

test("a service that was added is there until it is forgotten; what cannot be read is named", async () => {
  const kept = new KeptServices(folder);
  await kept.keep("a", { service: "a", upstream: ["b=127.0.0.1:1"] });
  await kept.keep("b", { service: "b" });
  expect(await kept.names()).toEqual(["a", "b"]);
  expect(kept.read("a").settings).toEqual({ service: "a", upstream: ["b=127.0.0.1:1"] });
  expect(await kept.forget("a")).toBe(true);
  expect(await kept.forget("a")).toBe(false);
  writeFileSync(join(folder, "services/b/settings.json"), "{");
  expect(await kept.names()).toEqual(["b"]);
  expect(() => kept.read("b")).toThrow(/settings.json cannot be read: .*is not JSON/);
});
