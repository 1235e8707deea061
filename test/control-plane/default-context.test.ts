import { mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { defaultContextPath, linkDefaultContext } from "../../control-plane/default-context.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ash-context-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a context is linked where none is, and again by the same data folder", () => {
  const path = join(folder, "config", "ashlar", "admin.json");
  expect(linkDefaultContext(path, "/data/admin.json")).toBe(true);
  expect(linkDefaultContext(path, "/data/admin.json")).toBe(true);
  expect(readlinkSync(path)).toBe("/data/admin.json");
});

test("another mesh's context is never replaced", () => {
  const [link, file, other] = [join(folder, "link"), join(folder, "file"), join(folder, "other.json")];
  writeFileSync(other, "{}");
  symlinkSync(other, link);
  writeFileSync(file, "{}");
  expect(linkDefaultContext(link, "/data/admin.json")).toBe(false);
  expect(linkDefaultContext(file, "/data/admin.json")).toBe(false);
  expect([readlinkSync(link), readFileSync(file, "utf8")]).toEqual([other, "{}"]);
});

test("a link to a mesh whose folder is gone is taken over", () => {
  const link = join(folder, "link");
  symlinkSync(join(folder, "gone", "admin.json"), link);
  expect(linkDefaultContext(link, "/data/admin.json")).toBe(true);
  expect(readlinkSync(link)).toBe("/data/admin.json");
});

test("a folder that cannot be made is no error", () => {
  writeFileSync(join(folder, "file"), "");
  expect(linkDefaultContext(join(folder, "file", "ashlar", "admin.json"), "/data/admin.json")).toBe(false);
});

test("it is where commands look: XDG_CONFIG_HOME, or .config at home", () => {
  expect(defaultContextPath({ XDG_CONFIG_HOME: "/x", HOME: "/h" })).toBe("/x/ashlar/admin.json");
  expect(defaultContextPath({ XDG_CONFIG_HOME: "x", HOME: "/h" })).toBe("/h/.config/ashlar/admin.json");
  expect(defaultContextPath({})).toBeUndefined();
});
