/** The services of one process before they serve: what is refused, what is tried again, and what an operator's attempt leaves. */
import { getEventListeners } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Host } from "../../../data-plane/host/host.js";
import { parseServiceSettings, type ServiceSettings } from "../../../data-plane/host/service-settings.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";
import { until } from "../../support/until.js";

let folder: string;
let clock: ManualClock;
let said: string[];
let host: Host;
let stdin: Promise<string>;
let life: AbortController;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ash-host-"));
  clock = new ManualClock();
  said = [];
  life = new AbortController();
  stdin = Promise.resolve("");
  const log = {
    ...silentLogger,
    error: (message: string, { service }: { service?: unknown } = {}) => void said.push(`${message}: ${service}`),
  };
  const spawnWorker = () => {
    throw new Error("no worker is started here");
  };
  const surroundings = { logFormat: "json" as const, spawnWorker, readStdin: () => stdin };
  host = new Host({ log, clock, random: () => 0.5, surroundings, logOf: () => silentLogger }, life.signal);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const service = (settings: ServiceSettings) => {
  const all = { flags: { join: join(folder, "join.json") }, env: {}, file: {}, dataDir: folder };
  return parseServiceSettings(settings, all, "test", "/");
};
const states = () => host.services.map((one) => `${one.service} ${one.state}`);

test("a join file that is not there is said by each service, and not tried again", async () => {
  await host.addAll([service({ service: "a" }), service({ service: "b" })]);
  expect(states().sort()).toEqual(["a failed", "b failed"]);
  expect(said.sort()).toEqual(["a service does not run: a", "a service does not run: b"]);
  expect(host.services[0]?.why).toMatch(/--join: cannot read .*join.json/);
});

test("what waiting may help is tried again, also after an operator's attempt that failed too", async () => {
  writeFileSync(join(folder, "file"), "");
  const settings = { service: "a", data: join(folder, "file") };
  await host.addAll([service(settings)]);
  expect(said).toEqual(["a service does not run yet: a"]);
  await expect(host.add(service(settings))).rejects.toThrow("cannot use the data folder");
  await clock.advance(1000);
  await until("it is tried again", () => said.length === 2);
  expect(states()).toEqual(["a failed"]);
});

test("services that wait long to join keep no other from its start", async () => {
  const path = join(folder, "waiting.json");
  writeFileSync(path, JSON.stringify({ join: "127.0.0.1:7", rootHash: "0".repeat(64) }));
  stdin = new Promise(() => {});
  const waiting = ["a", "b", "c", "d"].map((name) => ({ ...service({ service: name }), join: path, token: "-" }));
  const adding = host.addAll([...waiting, service({ service: "e" })]);
  await until("four of them wait", () => host.services.length === 4);
  expect(said).toEqual([]);
  await clock.advance(5000);
  await adding;
  expect(said).toEqual(["a service does not run: e"]); // it was tried
  expect(states()).toEqual(["a starting", "b starting", "c starting", "d starting", "e failed"]);
  expect(clock.sleeping).toBe(0);
});

test("an attempt for a new service that fails leaves nothing", async () => {
  writeFileSync(join(folder, "file"), "");
  const listening = () => getEventListeners(life.signal, "abort").length;
  const before = listening();
  await expect(host.add(service({ service: "b" }))).rejects.toThrow("--join: cannot read");
  await expect(host.add(service({ service: "c", data: join(folder, "file") }))).rejects.toThrow("cannot use");
  expect(states()).toEqual([]);
  expect(listening()).toBe(before);
});

test("an address that another service has is refused, and a folder that is a file is said", async () => {
  await host.addAll([service({ service: "a", status: "127.0.0.1:7" })]);
  await expect(host.add(service({ service: "b", status: "127.0.0.1:7" }))).rejects.toThrow(
    "b: 127.0.0.1:7 belongs to a already",
  );
  writeFileSync(join(folder, "file"), "");
  await expect(host.add(service({ service: "c", data: join(folder, "file") }))).rejects.toThrow(
    `cannot use the data folder ${join(folder, "file")}`,
  );
  await expect(host.remove("nobody")).rejects.toThrow("no proxy of nobody runs in this process, only of a");
});
