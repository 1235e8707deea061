/** Every writer of a proxy's files, on a disk that is full, broken or gone with the process, after every byte. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, jest, test } from "@jest/globals";
import { FaultyDisk } from "../../support/faulty-disk.js";
import { checkWriter, type WriterCase } from "../../support/written-files.js";

const memory = "/dev/shm"; // thousands of syncs: what they promise is not what is tested
const root = fs.mkdtempSync(join(fs.existsSync(memory) ? memory : tmpdir(), "ash-faults-"));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));
const disk = new FaultyDisk(root);
jest.unstable_mockModule("node:fs", () => disk.fs);
jest.unstable_mockModule("node:fs/promises", () => disk.promises);

// only now: whatever imports the sources before holds on to the real disk
const { openSlotFile } = await import("../../../data-plane/sync/slot-file.js");
const { openStateFolder } = await import("../../../data-plane/sync/state-folder.js");
const { openIdentityStore } = await import("../../../data-plane/identity/identity-store.js");

const bytesOf = (n: number): Uint8Array => new Uint8Array(Buffer.from(`content ${n}`));
const numberIn = (bytes: Uint8Array | undefined): number[] =>
  bytes === undefined || bytes.length === 0 ? [] : [Number(Buffer.from(bytes).toString().split(" ")[1])];

const slots: WriterCase = {
  name: "the floor's file of two slots",
  items: 4,
  keeps: "last",
  open: async (dir) => {
    const file = await openSlotFile(join(dir, "slots"));
    return { write: (n) => file.write(bytesOf(n)), close: () => file.close() };
  },
  read: async (dir) => {
    const file = await openSlotFile(join(dir, "slots"));
    await file.close();
    return numberIn(file.newest);
  },
};

const stateFile = (urgent: boolean): WriterCase => ({
  name: `a file of the state folder${urgent ? ", urgent" : ""}`,
  items: 4,
  keeps: "last",
  open: async (dir) => {
    const folder = await openStateFolder(join(dir, "state"));
    return { write: (n) => folder.write("floor", bytesOf(n), urgent) };
  },
  read: async (dir) => {
    const folder = await openStateFolder(join(dir, "state"));
    expect((await folder.list()).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    return numberIn(await folder.read("floor"));
  },
});

const none = new Uint8Array();
const parts = (n: number) => ({
  mesh: "m",
  proxyId: `p ${n}`,
  service: "s",
  version: "v1",
  certificateChain: [],
  natsServers: [],
  ...{
    natsJwt: "",
    natsCaPem: "",
    rootPublicKey: none,
    trust: none,
    activation: none,
    revision: none,
    freshness: none,
  },
});
const identity: WriterCase = {
  name: "a proxy's identity",
  items: 2,
  stride: 7,
  keeps: "last",
  open: (dir) => {
    const store = openIdentityStore(dir);
    return { write: (n) => store.save(parts(n)) };
  },
  read: (dir) => numberIn(Buffer.from(openIdentityStore(dir).load()?.proxyId ?? "")),
};

describe("what was acknowledged is there at the next start", () => {
  for (const writer of [slots, stateFile(false), stateFile(true), identity]) {
    test(writer.name, async () => {
      expect(await checkWriter(disk, join(root, writer.name.replaceAll(" ", "-")), writer)).toBeGreaterThan(20);
    }, 120_000);
  }
});

test("the room that is held back is used for what is urgent, and held back again when there is room", async () => {
  const dir = join(root, "reserve");
  const folder = await openStateFolder(dir);
  expect(fs.existsSync(join(dir, "reserve"))).toBe(true);
  disk.failAfter(0, "ENOSPC");
  await expect(folder.write("called", bytesOf(1))).rejects.toThrow(
    `cannot write ${join(dir, "called")}: the disk is full (or has no inodes left): make room there`,
  );
  expect(fs.existsSync(join(dir, "reserve"))).toBe(true);
  await expect(folder.write("floor", bytesOf(1), true)).rejects.toThrow("the disk is full");
  expect(fs.existsSync(join(dir, "reserve"))).toBe(false);
  disk.heal();
  await folder.write("called", bytesOf(2));
  expect(fs.existsSync(join(dir, "reserve"))).toBe(true);
});
