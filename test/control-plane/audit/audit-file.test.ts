import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { openAuditFile, type UnplacedEntry } from "../../../control-plane/audit/audit-file.js";
import { encodeAuditEntry, parseAuditEntry } from "../../../core/wire/audit.js";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ashlar-audit-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const bytesMax = 20_000;
const open = () => openAuditFile(join(dir, "audit.log"), bytesMax);
const entry = (n: number): UnplacedEntry => ({
  timeMs: n,
  actor: "a",
  source: "s",
  action: "publish",
  target: "t",
  outcome: "ok",
  detail: `entry ${n}`,
  id: n.toString(16).padStart(32, "0"),
});
const placed = (n: number) => encodeAuditEntry({ ...entry(n), sequence: 1, previous: undefined });

describe("the own file of the audit log", () => {
  test("an entry waits until it has its place, over a restart", async () => {
    const file = await open();
    await Promise.all([1, 2, 3].map((n) => file.addUnplaced(entry(n))));
    await file.beginStream("monday", 0);
    await file.addPlaced(7, placed(2));
    await file.close();
    const again = await open();
    expect(again.contents.unplaced).toEqual([entry(1), entry(3)]);
    expect(again.contents.placed).toEqual([new Uint8Array(placed(2))]);
    expect(again.contents.position).toEqual({ created: "monday", sequence: 7 });
    await again.close();
  });

  test("made shorter, it keeps what waits, its position and the newest; the former file is read too", async () => {
    const file = await open();
    await file.beginStream("monday", 0);
    await file.addUnplaced(entry(1000));
    for (let n = 1; n <= 400; n += 1) await file.addPlaced(n, placed(n));
    await file.beginStream("tuesday", 0);
    await Promise.all([file.addPlaced(1, placed(401)), file.compact(), file.addPlaced(2, placed(402))]);
    await file.compact();
    expect((await stat(join(dir, "audit.log"))).size).toBeLessThan(bytesMax);
    const all = await file.read();
    expect(new Set(all.placed.map((bytes) => parseAuditEntry(bytes).timeMs)).size).toBe(402);
    await file.close();
    const again = await open();
    expect(again.contents.position).toEqual({ created: "tuesday", sequence: 2 });
    expect(again.contents.unplaced).toEqual([entry(1000)]);
    expect(again.contents.placed.map((bytes) => parseAuditEntry(bytes).timeMs).at(-1)).toBe(402);
    await again.close();
  });
});
