import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openIntentFile } from "../../../control-plane/store/intent-file.js";

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ashlar-intent-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

async function pendingIn(file: string): Promise<string | undefined> {
  const intent = await openIntentFile(file);
  const { pending } = intent;
  await intent.close();
  return pending === undefined ? undefined : Buffer.from(pending).toString();
}

test("what was written is pending until it is cleared, over restarts, a shorter one after a longer one too", async () => {
  const file = join(dir, "plain.intent");
  expect(await pendingIn(file)).toBeUndefined();
  for (const text of ["eyJ-a longer record.x.y", "eyJ.short", `eyJ${"long".repeat(10_000)}`, "eyJ.again"]) {
    const intent = await openIntentFile(file);
    await intent.write(bytesOf(text));
    await intent.close();
    expect(await pendingIn(file)).toBe(text);
  }
  const intent = await openIntentFile(file);
  await intent.clear();
  expect(intent.pending).toBeUndefined();
  await intent.close();
  expect(await pendingIn(file)).toBeUndefined();
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test("a write that is torn at any byte leaves nothing pending", async () => {
  const file = join(dir, "torn.intent");
  const intent = await openIntentFile(file);
  await intent.write(bytesOf("eyJ.the record before.x"));
  await intent.clear();
  const before = await readFile(file);
  await intent.write(bytesOf("eyJ.the next record.x"));
  const after = await readFile(file);
  await intent.close();
  const end = 8 + "eyJ.the next record.x".length;
  for (let torn = 0; torn <= end; torn += 1) {
    await writeFile(file, Buffer.concat([after.subarray(0, torn), before.subarray(torn)]));
    const whole = after.subarray(0, end).equals((await readFile(file)).subarray(0, end));
    expect(await pendingIn(file)).toBe(whole ? "eyJ.the next record.x" : undefined);
  }
});

test("the file of an earlier version holds the record alone; it stays pending until it is cleared", async () => {
  const file = join(dir, "bare.intent");
  await writeFile(file, "eyJ.of an earlier version.x");
  expect(await pendingIn(file)).toBe("eyJ.of an earlier version.x");
  expect(await pendingIn(file)).toBe("eyJ.of an earlier version.x");
  const intent = await openIntentFile(file);
  await intent.clear();
  await intent.close();
  expect(await pendingIn(file)).toBeUndefined();
});
