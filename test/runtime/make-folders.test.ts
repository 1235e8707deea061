import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { fileReason } from "../../runtime/file-reason.js";
import { makeFolders } from "../../runtime/make-folders.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "folders-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const reasonOf = (path: string): string => {
  try {
    makeFolders(path);
  } catch (error) {
    return fileReason(error);
  }
  return "";
};

test("it makes what is missing, with the mode, and tells the topmost", () => {
  expect(makeFolders(join(dir, "a", "b", "c"), 0o700)).toBe(join(dir, "a"));
  expect(statSync(join(dir, "a", "b")).mode & 0o777).toBe(0o700);
  expect(makeFolders(join(dir, "a", "b"))).toBeUndefined();
});

test("a file in the way is said, and nothing is made", () => {
  writeFileSync(join(dir, "file"), "");
  expect(reasonOf(join(dir, "file"))).toBe("there is a file of that name");
  expect(reasonOf(join(dir, "file", "below"))).toBe("a part of its path is no folder");
});

test("below /proc, where nothing can be made, it ends: mkdir with `recursive` would not", () => {
  expect(reasonOf("/proc/ashlar/data")).not.toBe("");
});
