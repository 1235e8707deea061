/** What replaces a file, on a disk that is full, broken or gone with the process, after every byte. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { auditTrust, chainOf, signHead } from "../support/audit-chain.js";
import { FaultyDisk } from "../support/faulty-disk.js";
import { checkWriter, type WriterCase } from "../support/written-files.js";

const memory = "/dev/shm"; // thousands of syncs: what they promise is not what is tested
const root = fs.mkdtempSync(join(fs.existsSync(memory) ? memory : tmpdir(), "ash-faults-"));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));
const disk = new FaultyDisk(root);
jest.unstable_mockModule("node:fs", () => disk.fs);
jest.unstable_mockModule("node:fs/promises", () => disk.promises);

// only now: whatever imports the sources before holds on to the real disk
const { replaceDurably, temporarySuffix, writeDurably } = await import("../../runtime/durable-file.js");
const { exportAudit } = await import("../../cli/audit-log.js");

const entriesOf = (n: number) => chainOf(Array.from({ length: n }, (_, i) => `entry ${i}`));
/** Gives a log of `n` details in one page, as the control plane does. */
const adminWith = (n: number): Parameters<typeof exportAudit>[0] => ({
  exportAudit: async () => {
    const entries = entriesOf(n);
    const [rootPublicKey, trust] = [
      Buffer.from(auditTrust.rootPublicKey),
      auditTrust.trust.map((one) => Buffer.from(one)),
    ];
    const page = { entries: entries.map((one) => Buffer.from(one)), position: entries.length, complete: true };
    return { ...page, mesh: auditTrust.mesh, rootPublicKey, head: Buffer.from(signHead(entries)), trust };
  },
});

const readLines = (file: string): readonly string[] =>
  fs.existsSync(file) ? fs.readFileSync(file, "utf8").trimEnd().split("\n") : [];
const numberIn = (file: string): readonly number[] => readLines(file).slice(0, 1).map(Number);

const writers: readonly WriterCase[] = [
  {
    name: "text that is written at once",
    items: 4,
    keeps: "last",
    open: (dir) => ({ write: (n) => writeDurably(join(dir, "file"), `${n}\n${"x".repeat(20)}`) }),
    read: (dir) => numberIn(join(dir, "file")),
  },
  {
    name: "text in parts",
    items: 4,
    keeps: "last",
    open: (dir) => ({ write: (n) => writeDurably(join(dir, "file"), [`${n}\n`, "part ", "part"]) }),
    read: (dir) => {
      expect(readLines(join(dir, "file"))[1] ?? "part part").toBe("part part");
      return numberIn(join(dir, "file"));
    },
  },
  {
    name: "text that is written beside the event loop",
    items: 4,
    keeps: "last",
    open: (dir) => ({ write: (n) => replaceDurably(join(dir, "file"), `${n}\n${"x".repeat(20)}`) }),
    read: (dir) => numberIn(join(dir, "file")),
  },
  {
    name: "an export of the audit log",
    items: 2,
    stride: 97,
    keeps: "last",
    open: (dir) => ({ write: async (n) => void (await exportAudit(adminWith(n), join(dir, "file"))) }),
    read: (dir) => {
      const lines = readLines(join(dir, "file"));
      return lines.length === 0 ? [] : [lines.length - entriesOf(0).length - 2];
    },
  },
];

beforeEach(() => disk.heal());

describe("a file is the old or the new one, and what was acknowledged is there", () => {
  for (const writer of writers) {
    test(writer.name, async () => {
      expect(await checkWriter(disk, join(root, writer.name.replaceAll(" ", "-")), writer)).toBeGreaterThan(20);
    }, 120_000);
  }
});

test("the folder is synced after the rename: a failure there is told", async () => {
  const file = join(root, "synced");
  const writes = [
    () => writeDurably(file, "1234"),
    () => replaceDurably(file, "1234"),
    () => exportAudit(adminWith(1), file).then(() => {}),
  ];
  for (const write of writes) {
    disk.heal();
    await write();
    const { spent } = disk; // bytes, the file's sync, the rename and the folder's sync
    disk.failAfter(spent - 1, "EIO");
    await expect((async () => write())()).rejects.toThrow(`cannot write ${file}: `);
    expect(fs.readdirSync(root).filter((name) => name.endsWith(temporarySuffix) || name.endsWith(".new"))).toEqual([]);
  }
});
