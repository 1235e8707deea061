import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { openSlotFile } from "../../../data-plane/sync/slot-file.js";
import {
  encodeSlot,
  newestSlot,
  slotBytes,
  slotContentBytesMax,
  slotFileBytes,
  slotOffset,
} from "../../../data-plane/sync/slots.js";

const dir = mkdtempSync(join(tmpdir(), "ashlar-slots-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString();

describe("a file of two slots", () => {
  test("gives what was written last, over restarts, and keeps its size", async () => {
    const path = join(dir, "plain");
    let file = await openSlotFile(path);
    expect(file.newest).toBeUndefined();
    for (const text of ["one", "two", "", "a longer one than all before"]) {
      await file.write(bytesOf(text));
      expect(textOf(file.newest)).toBe(text);
      await file.close();
      file = await openSlotFile(path);
      expect(textOf(file.newest)).toBe(text);
    }
    expect(statSync(path).size).toBe(slotFileBytes);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await file.close();
  });

  test("I2: a write that is torn at any byte leaves what was there before, and the next one is whole", async () => {
    const path = join(dir, "torn");
    const file = await openSlotFile(path);
    for (const text of ["content 1", "content 2"]) await file.write(bytesOf(text));
    const before = readFileSync(path);
    await file.write(bytesOf("content 3"));
    const after = readFileSync(path);
    await file.close();
    const whole = slotOffset(3) + encodeSlot({ serial: 3, content: bytesOf("content 3") }).length;
    for (let torn = slotOffset(3); torn <= whole; torn += 1) {
      writeFileSync(path, Buffer.concat([after.subarray(0, torn), before.subarray(torn)]));
      const opened = await openSlotFile(path);
      expect(textOf(opened.newest)).toBe(torn === whole ? "content 3" : "content 2");
      await opened.write(bytesOf("content 4"));
      await opened.close();
      expect(textOf(newestSlot(readFileSync(path))?.content)).toBe("content 4");
    }
  });

  test("garbage in the slot that was being written is no content", () => {
    const file = Buffer.alloc(slotFileBytes, 0xff);
    expect(newestSlot(file)).toBeUndefined();
    Buffer.from(encodeSlot({ serial: 8, content: bytesOf("whole") })).copy(file, slotOffset(8));
    expect(textOf(newestSlot(file)?.content)).toBe("whole");
    const misplaced = Buffer.alloc(slotFileBytes);
    Buffer.from(encodeSlot({ serial: 9, content: bytesOf("of the other slot") })).copy(misplaced, slotOffset(8));
    expect(newestSlot(misplaced)).toBeUndefined();
    expect(newestSlot(new Uint8Array())).toBeUndefined();
  });

  test("a slot takes what fits it and refuses a byte more", async () => {
    const file = await openSlotFile(join(dir, "large"));
    const most = new Uint8Array(slotContentBytesMax).fill(7);
    expect(encodeSlot({ serial: 999_999_999_999_999, content: most }).length).toBeLessThanOrEqual(slotBytes);
    for (let count = 0; count < 3; count += 1) await file.write(most);
    expect(file.newest).toEqual(most);
    await expect(file.write(new Uint8Array(slotContentBytesMax + 1))).rejects.toMatchObject({ code: "limit" });
    expect(file.newest).toEqual(most);
    await file.close();
  });

  test("a file that a crash left too short gets its room", async () => {
    const path = join(dir, "short");
    const file = await openSlotFile(path);
    await file.write(bytesOf("odd"));
    await file.write(bytesOf("even"));
    await file.close();
    truncateSync(path, slotBytes + 3);
    const opened = await openSlotFile(path);
    expect(textOf(opened.newest)).toBe("even");
    await opened.close();
    expect(statSync(path).size).toBe(slotFileBytes);
  });

  test("a file that was removed takes nothing", async () => {
    const path = join(dir, "removed");
    const file = await openSlotFile(path);
    rmSync(path);
    await expect(file.write(bytesOf("lost"))).rejects.toMatchObject({ code: "unavailable" });
    expect(file.newest).toBeUndefined();
    await file.close();
  });

  test("a folder that is not there is unavailable", async () => {
    await expect(openSlotFile(join(dir, "no", "such"))).rejects.toMatchObject({ code: "unavailable" });
  });
});
