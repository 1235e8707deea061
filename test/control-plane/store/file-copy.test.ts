import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { openBlobFolder, openFileLog } from "../../../control-plane/store/file-copy.js";
import { digestOf } from "../../../core/digest.js";
import { runs } from "../../support/runs.js";

let dir = "";
let made = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ashlar-copy-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));
const fresh = (): string => {
  made += 1;
  return join(dir, `log${made}`);
};
async function write(file: string, records: readonly Uint8Array[]): Promise<void> {
  const log = await openFileLog(file);
  await Promise.all(records.map((record) => log.append(record)));
  await log.close();
}
async function read(file: string) {
  const log = await openFileLog(file);
  await log.close();
  return { records: log.records.map((record) => Buffer.from(record).toString()), damage: log.damage };
}

describe("an append-only file", () => {
  const records = ["one", "", "three"].map((text) => new Uint8Array(Buffer.from(text)));
  test("gives back what was appended, in order, also when appended at once, and is its owner's", async () => {
    const file = fresh();
    await write(file, records);
    await write(file, [new Uint8Array(Buffer.from("four"))]);
    expect(await read(file)).toEqual({ records: ["one", "", "three", "four"], damage: undefined });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test("cut off anywhere it has the whole records before the cut, reports no damage, and can be appended to", async () => {
    const file = fresh();
    await write(file, records);
    const content = await readFile(file);
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length), async (length) => {
        const cut = fresh();
        await writeFile(cut, content.subarray(0, length));
        const { records: left, damage } = await read(cut);
        expect(["one", "", "three"].slice(0, left.length)).toEqual(left);
        expect(damage).toBeUndefined();
        await write(cut, [new Uint8Array(Buffer.from("next"))]);
        expect((await read(cut)).records).toEqual([...left, "next"]);
      }),
      { numRuns: runs(30) },
    );
  });

  test("with a flipped bit anywhere it never gives a record that was not appended", async () => {
    const file = fresh();
    await write(file, records);
    const content = await readFile(file);
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length * 8 - 1), async (bit) => {
        const flipped = Buffer.from(content);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const damaged = fresh();
        await writeFile(damaged, flipped);
        const { records: left } = await read(damaged);
        expect(["one", "", "three"].slice(0, left.length)).toEqual(left);
        expect(left.length).toBeLessThan(3);
      }),
      { numRuns: runs(60) },
    );
  });
});

test("a blob that was damaged on disk is not given, and storing it again repairs it", async () => {
  const folder = await openBlobFolder(join(dir, "blobs"));
  const bytes = new Uint8Array(Buffer.from("unit"));
  const digest = await folder.put(bytes);
  expect(await folder.get(digest)).toEqual(bytes);
  await writeFile(join(dir, "blobs", digest), "other");
  expect(await folder.get(digest)).toBeUndefined();
  expect(await folder.put(bytes)).toBe(digestOf(bytes));
  expect(await folder.get(digest)).toEqual(bytes);
  expect(await folder.list()).toEqual([digest]);
});
