/** Every writer of a control plane's files, on a disk that is full, broken or gone with the process, after every byte. */
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, jest, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { parseAuditEntry } from "../../../core/wire/audit.js";
import { systemClock } from "../../../runtime/clock.js";
import { FaultyDisk } from "../../support/faulty-disk.js";
import { checkWriter, type WriterCase } from "../../support/written-files.js";

const memory = "/dev/shm"; // thousands of syncs: what they promise is not what is tested
const root = fs.mkdtempSync(join(fs.existsSync(memory) ? memory : tmpdir(), "ash-faults-"));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));
const disk = new FaultyDisk(root);
jest.unstable_mockModule("node:fs", () => disk.fs);
jest.unstable_mockModule("node:fs/promises", () => disk.promises);

// only now: whatever imports the sources before holds on to the real disk
const { openFileLog, openBlobFolder } = await import("../../../control-plane/store/file-copy.js");
const { openIntentFile } = await import("../../../control-plane/store/intent-file.js");
const { openLogBegins } = await import("../../../control-plane/store/log-begins.js");
const { openAuditFile } = await import("../../../control-plane/audit/audit-file.js");
const { openIssuedCertificates } = await import("../../../control-plane/identity/issued-certificates.js");
const { openJoinTokens } = await import("../../../control-plane/identity/join-tokens.js");
const { openAuthorityFile } = await import("../../../control-plane/identity/authority-file.js");
const { openAuthority } = await import("../../../control-plane/identity/authority.js");
const { openMembers } = await import("../../../control-plane/membership/members.js");
const { saveRoster, readRoster } = await import("../../../control-plane/fleet/roster-file.js");
const { DataFolder } = await import("../../../control-plane/data-folder.js");
const { silentLogger } = await import("../../../runtime/log.js");

const { buildHeartbeat } = await import("../../support/fake-fleet.js");

const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
const bytesOf = (n: number): Uint8Array => new Uint8Array(Buffer.from(`eyJ.record ${n}`));
const numberIn = (bytes: Uint8Array | undefined): number[] => {
  const [, text] = /(\d+)$/.exec(bytes === undefined ? "" : Buffer.from(bytes).toString()) ?? [];
  return text === undefined ? [] : [Number(text)];
};
const entry = (n: number) => ({
  timeMs: n,
  actor: "a",
  source: "s",
  action: "publish",
  target: "t",
  outcome: "ok",
  detail: "",
  id: n.toString(16).padStart(32, "0"),
});

const fileLog: WriterCase = {
  name: "a log's own copy",
  items: 6,
  keeps: "all",
  open: async (dir) => {
    const log = await openFileLog(join(dir, "log"));
    return { write: (n) => log.append(bytesOf(n)), close: () => log.close() };
  },
  read: async (dir) => {
    const log = await openFileLog(join(dir, "log"));
    await log.close();
    if (log.damage !== undefined) throw new Error(log.damage);
    return log.records.flatMap(numberIn);
  },
};

const batches: WriterCase = {
  ...fileLog,
  name: "records that are appended at once",
  items: 3,
  open: async (dir) => {
    const log = await openFileLog(join(dir, "log"));
    const write = async (n: number) =>
      void (await Promise.all([1, 2, 3].map((k) => log.append(bytesOf(n * 10 + k))).concat(log.append(bytesOf(n)))));
    return { write, close: () => log.close() };
  },
  read: async (dir) => (await fileLog.read(dir)).filter((n) => n < 10),
};

const intent: WriterCase = {
  name: "the record that is about to be appended",
  items: 4,
  keeps: "newest",
  open: async (dir) => {
    const file = await openIntentFile(join(dir, "intent"));
    return { write: (n) => file.write(bytesOf(n)), close: () => file.close() };
  },
  read: async (dir) => {
    const file = await openIntentFile(join(dir, "intent"));
    await file.close();
    return numberIn(file.pending);
  },
};

const blobs: WriterCase = {
  name: "units and lists by digest",
  items: 4,
  keeps: "all",
  open: async (dir) => {
    const folder = await openBlobFolder(join(dir, "blobs"));
    return { write: async (n) => void (await folder.put(bytesOf(n))) };
  },
  read: async (dir) => {
    const folder = await openBlobFolder(join(dir, "blobs"));
    expect(fs.readdirSync(join(dir, "blobs")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    const found = await Promise.all((await folder.list()).map((digest) => folder.get(digest)));
    return found.flatMap((bytes) => numberIn(bytes)).sort();
  },
};

const begins: WriterCase = {
  name: "where a log begins",
  items: 3,
  keeps: "last",
  open: async (dir) => {
    const file = await openLogBegins(join(dir, "begins"));
    return { write: (n) => file.save([1, 2, 3].slice(0, n).map((k) => digestOf(bytesOf(k)))) };
  },
  read: async (dir) => {
    const { known } = await openLogBegins(join(dir, "begins"));
    return known.length === 0 ? [] : [known.length];
  },
};

const openAudit = (dir: string) => openAuditFile(join(dir, "audit.log"), 300);
const audit: WriterCase = {
  name: "entries of the audit log, also while its file is made shorter",
  items: 6,
  stride: 3,
  keeps: "all",
  open: async (dir) => {
    const file = await openAudit(dir);
    const write = async (n: number) => {
      await file.addUnplaced(entry(n));
      await file.compact().catch(() => {}); // as the log does: a file that cannot be made shorter goes on
    };
    return { write, close: () => file.close() };
  },
  read: async (dir) => {
    const file = await openAudit(dir);
    await file.close();
    if (file.damage !== undefined) throw new Error(file.damage);
    const placed = file.contents.placed.map((bytes) => parseAuditEntry(bytes).timeMs);
    return [...placed, ...file.contents.unplaced.map(({ timeMs }) => timeMs)];
  },
};

const issued: WriterCase = {
  name: "issued certificates",
  items: 4,
  keeps: "all",
  open: (dir) => {
    const file = openIssuedCertificates({ dir, clock: systemClock });
    const proxy = { proxyId: "p", service: "s", notAfterMs: 9e15 };
    return { write: (n) => file.add({ ...proxy, serial: `${n}` }) };
  },
  read: (dir) => openIssuedCertificates({ dir, clock: systemClock }).serialsOf("p").map(Number),
};

const tokenOptions = (dir: string) => ({ dir, mesh: "m", rootHash: "0".repeat(64), clock: systemClock, random });
const tokens: WriterCase = {
  name: "join tokens",
  items: 2,
  stride: 5,
  keeps: "all",
  open: (dir) => {
    const file = openJoinTokens(tokenOptions(dir));
    return { write: (n) => void fs.writeFileSync(join(dir, `token-${n}`), file.createToken({ service: "s" }).token) };
  },
  read: (dir) => {
    const file = openJoinTokens(tokenOptions(dir));
    const given = [1, 2].filter((n) => fs.existsSync(join(dir, `token-${n}`)));
    return given.filter((n) => file.check(fs.readFileSync(join(dir, `token-${n}`), "utf8"), "key").service === "s");
  },
};

const keysDir = join(root, "keys");
openAuthority({ dir: keysDir, mesh: "m", clock: systemClock, random });
const { keys } = openAuthorityFile(keysDir, "m", () => {
  throw new Error("they are there");
});
const authority: WriterCase = {
  name: "the keys of a control plane",
  items: 2,
  stride: 131,
  keeps: "last",
  open: (dir) => {
    const file = openAuthorityFile(dir, "m", () => ({ ...keys, name: "cp-0" }));
    return { write: (n) => file.replace({ ...keys, name: `cp-${n}` }) };
  },
  read: (dir) => [Number(openAuthorityFile(dir, "m", () => keys).keys.name.slice(3))].filter((n) => n > 0),
};

const members: WriterCase = {
  name: "members",
  items: 3,
  keeps: "last",
  open: (dir) => {
    const file = openMembers(dir, () => {});
    return { write: (n) => file.set("second", `127.0.0.1:${n}`) };
  },
  read: (dir) =>
    openMembers(dir, () => {})
      .addresses()
      .map((at) => Number(at.split(":")[1])),
};

const roster: WriterCase = {
  name: "the roster",
  items: 2,
  stride: 7,
  keeps: "last",
  open: (dir) => ({
    write: (n) => saveRoster(dir, [{ heartbeat: buildHeartbeat("a"), lastSeenMs: n, live: true }]),
  }),
  read: (dir) => readRoster(dir, silentLogger).map(({ lastSeenMs }) => lastSeenMs),
};

const folderFiles: WriterCase = {
  name: "files of the data folder",
  items: 3,
  keeps: "last",
  open: async (dir) => {
    fs.rmSync(join(dir, "data", "lock.json"), { force: true }); // of a process that is dead, here
    const folder = await DataFolder.open(join(dir, "data"));
    return { write: (n) => folder.savePorts({ admin: n, join: n }), close: () => folder.close() };
  },
  read: async (dir) => {
    fs.rmSync(join(dir, "data", "lock.json"), { force: true });
    const folder = await DataFolder.open(join(dir, "data"));
    const saved = folder.savedPorts();
    folder.close();
    return saved === undefined ? [] : [saved.admin];
  },
};

describe("what was acknowledged is there at the next start", () => {
  const cases = [
    fileLog,
    batches,
    intent,
    blobs,
    begins,
    audit,
    issued,
    tokens,
    authority,
    members,
    roster,
    folderFiles,
  ];
  for (const writer of cases) {
    test(writer.name, async () => {
      const dir = join(root, createHash("sha1").update(writer.name).digest("hex"));
      expect(await checkWriter(disk, dir, writer)).toBeGreaterThan(20);
    }, 120_000);
  }
});

test("a full disk is said as that, with the path and what to do", async () => {
  const log = await openFileLog(join(root, "said.log"));
  disk.failAfter(3, "ENOSPC");
  await expect(log.append(bytesOf(1))).rejects.toMatchObject({
    code: "unavailable",
    message: `cannot write ${join(root, "said.log")}: the disk is full (or has no inodes left): make room there, and it goes on by itself`,
  });
  disk.heal();
  await log.close();
});
