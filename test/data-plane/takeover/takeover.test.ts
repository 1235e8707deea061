/** The parts of a takeover, without processes: who may write, what is said, which sockets are passed. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { Doors } from "../../../data-plane/takeover/doors.js";
import {
  encodeMessage,
  parseReply,
  parseRequest,
  type Reply,
  type Request,
} from "../../../data-plane/takeover/messages.js";
import { ownedFolder } from "../../../data-plane/takeover/owned-folder.js";
import { Predecessor } from "../../../data-plane/takeover/predecessor.js";
import { openTakeover, type TakeoverServer } from "../../../data-plane/takeover/takeover-server.js";
import { Tenure } from "../../../data-plane/takeover/tenure.js";
import { systemClock } from "../../../runtime/clock.js";
import { listenOn } from "../../../runtime/listen.js";
import { silentLogger } from "../../../runtime/log.js";
import { StatementWriter } from "../../../runtime/statement-writer.js";
import { StatementPki } from "../../support/statements.js";
import { MemoryFolder } from "../sync/memory-folder.js";

const folders: string[] = [];
const servers: Server[] = [];
const takeovers: TakeoverServer[] = [];
afterEach(() => {
  for (const one of takeovers.splice(0)) one.close();
  for (const one of servers.splice(0)) one.close();
  for (const one of folders.splice(0)) rmSync(one, { recursive: true, force: true });
});

function newFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "ash-take-"));
  folders.push(path);
  return path;
}

test("writes run while this process owns the folder, wait while a successor starts, and are left out after it took over", async () => {
  const tenure = new Tenure("waiting");
  const disk = new MemoryFolder();
  const folder = ownedFolder(disk, tenure);
  const early = folder.write("a", Uint8Array.of(1));
  expect(await disk.read("a")).toBeUndefined();
  tenure.begin();
  await early;
  expect(await disk.read("a")).toEqual(Uint8Array.of(1));
  await tenure.hold();
  const held = folder.write("a", Uint8Array.of(2));
  expect([tenure.isOwner, await disk.read("a")]).toEqual([false, Uint8Array.of(1)]);
  tenure.begin(); // the successor did not come
  await held;
  await tenure.hold();
  const late = folder.write("a", Uint8Array.of(3));
  tenure.end();
  await late;
  await folder.remove("a");
  expect([tenure.isOver, await disk.read("a")]).toEqual([true, Uint8Array.of(2)]);
});

test("holding still waits for a write that runs", async () => {
  const tenure = new Tenure("owner");
  let finish = () => {};
  const writing = tenure.run(() => new Promise<void>((resolve) => (finish = resolve)), undefined);
  await Promise.resolve();
  let held = false;
  const holding = tenure.hold().then(() => (held = true));
  await Promise.resolve();
  expect(held).toBe(false);
  finish();
  await Promise.all([writing, holding]);
  expect(held).toBe(true);
});

test("a process and its successor never sign with the same counter", () => {
  const pki = new StatementPki();
  const identity = { current: pki.issue("payments", "p-1") };
  let nowMs = 1000;
  const before = new StatementWriter({ identity, clock: { nowMs: () => nowMs } });
  before.sign("decision", Uint8Array.of(1));
  before.endAt(5000);
  const after = new StatementWriter({ identity, clock: { nowMs: () => nowMs } }, 5000);
  after.sign("heartbeat", Uint8Array.of(1));
  before.sign("decision", Uint8Array.of(2));
  expect([before.counter, after.counter]).toEqual([1001, 5001]);
  nowMs = 6000;
  expect(() => before.sign("decision", Uint8Array.of(3))).toThrow("a successor of this process makes its statements");
});

test("messages are read as they were written, and others are refused", () => {
  const requests: readonly Request[] = [
    { kind: "hold", version: 1, service: "payments" },
    { kind: "socket", name: "inbound", address: { host: "::1", port: 1 } },
    { kind: "take" },
    { kind: "drain" },
  ];
  for (const request of requests) expect(parseRequest(encodeMessage(request))).toEqual(request);
  const replies: readonly Reply[] = [
    { kind: "refused", why: "no" },
    { kind: "held", counter: 7, app: undefined },
    { kind: "held", counter: 7, app: { instance: "a", target: { path: "/run/a.sock" } } },
    { kind: "held", counter: 7, app: { instance: "a", target: { host: "::1", port: 80 } } },
    { kind: "socket", passed: true },
    { kind: "yours" },
    { kind: "draining" },
  ];
  for (const reply of replies) expect(parseReply(encodeMessage(reply))).toEqual(reply);
  for (const line of ["", "1", "{}", '{"kind":"hold"}', '{"kind":"socket","name":"a"}', '{"kind":"other"}']) {
    expect(() => parseRequest(line)).toThrow("a message of a takeover that this version does not know");
  }
  expect(() => parseReply('{"kind":"held","counter":"7"}')).toThrow("does not know");
});

async function openRunning(dataDir: string) {
  const doors = new Doors(undefined);
  const did: string[] = [];
  const takeover = await openTakeover({
    doors,
    clock: systemClock,
    log: silentLogger,
    dataDir,
    service: "payments",
    hold: async () => {
      did.push("hold");
      return 9;
    },
    goOn: () => void did.push("go on"),
    app: () => ({ instance: "i", target: { path: "/run/app.sock" } }),
    yield: () => void did.push("yield"),
  });
  takeovers.push(takeover);
  return { doors, did, takeover };
}

test("a listening socket passes to another owner with its port, and those that wait are served", async () => {
  const dataDir = newFolder();
  const { doors, did, takeover } = await openRunning(dataDir);
  const first = createServer((socket) => socket.end("first"));
  servers.push(first);
  const { port } = await listenOn(first, await doors.at("inbound", { host: "127.0.0.1", port: 0 }));
  await expect(Predecessor.hold(dataDir, "billing")).rejects.toThrow("a proxy of payments runs on the data folder");
  const predecessor = await Predecessor.hold(dataDir, "payments");
  if (predecessor === undefined) throw new Error("it does not answer");
  expect([predecessor.counter, predecessor.app]).toEqual([9, { instance: "i", target: { path: "/run/app.sock" } }]);
  await expect(Predecessor.hold(dataDir, "payments")).rejects.toThrow("another process is taking over");
  const successor = new Doors(predecessor);
  expect(await predecessor.socketOf("inbound", { host: "127.0.0.1", port: port + 1 })).toBeUndefined();
  expect(await predecessor.socketOf("status", { host: "127.0.0.1", port: 0 })).toBeUndefined();
  const second = createServer((socket) => socket.end("second"));
  servers.push(second);
  const bound = await listenOn(second, await successor.at("inbound", { host: "127.0.0.1", port: 0 }));
  expect(bound).toEqual({ host: "127.0.0.1", port });
  await predecessor.take();
  expect(await Promise.race([takeover.settled(), "it waits for the end"])).toBe("it waits for the end");
  first.close();
  await predecessor.drain();
  await takeover.handedOver;
  expect([did, await takeover.settled()]).toEqual([["hold", "yield"], true]);
  const said = await new Promise<string>((resolve) => {
    connect({ host: "127.0.0.1", port }).on("data", (bytes) => resolve(bytes.toString()));
  });
  expect(said).toBe("second");
});

test("a Unix socket is replaced at its path, and its old owner does not remove the new one", async () => {
  const folder = newFolder();
  const path = join(folder, "a.sock");
  const [mine, theirs] = [new Doors(undefined), new Doors({} as Predecessor)];
  const open = async (doors: Doors, text: string) => {
    const server = createServer((socket) => socket.end(text));
    servers.push(server);
    await listenOn(server, await doors.at("agent", { path }));
    return server;
  };
  const ask = () =>
    new Promise<string>((resolve, reject) => {
      connect({ path })
        .on("data", (bytes) => resolve(bytes.toString()))
        .on("error", reject);
    });
  const first = await open(mine, "first");
  await open(theirs, "second");
  expect(await ask()).toBe("first");
  theirs.replace();
  expect(await ask()).toBe("second");
  first.close();
  mine.removePaths();
  expect(await ask()).toBe("second");
  theirs.removePaths();
  await expect(ask()).rejects.toMatchObject({ code: "ENOENT" });
});

test("a successor that goes away leaves the proxy as it was, and a folder without one is told apart", async () => {
  const dataDir = newFolder();
  expect(await Predecessor.hold(dataDir, "payments")).toBeUndefined();
  const { did, takeover } = await openRunning(dataDir);
  const predecessor = await Predecessor.hold(dataDir, "payments");
  const settled = takeover.settled();
  predecessor?.close();
  expect(await settled).toBe(false);
  expect(did).toEqual(["hold", "go on"]);
  await expect(predecessor?.take()).rejects.toThrow("ended during the takeover");
  expect(await Predecessor.hold(dataDir, "payments")).toBeDefined(); // the next one may
});

test("nobody is believed at a socket that others could have put there", async () => {
  const dataDir = newFolder();
  const { did } = await openRunning(dataDir);
  chmodSync(join(dataDir, "run"), 0o777);
  await expect(Predecessor.hold(dataDir, "payments")).rejects.toThrow("other users may write in its folder");
  expect(did).toEqual([]);
  chmodSync(join(dataDir, "run"), 0o700);
  expect(await Predecessor.hold(dataDir, "payments")).toBeDefined();
});
