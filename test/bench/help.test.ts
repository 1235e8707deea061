/** A bench says what it takes instead of running, and refuses what it does not know. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { repository, run } from "../support/processes.js";

const folder = join(repository, "dist/bench");
const benches = readdirSync(folder)
  .map((name) => join(name, "main.js"))
  .filter((path) => existsSync(join(folder, path)));

describe.each([...benches, "all.js", "calls/burst.js"])("%s", (path) => {
  test("--help ends with 0, flags and an example", async () => {
    const { code, stdout, stderr } = await run(process.execPath, [join(folder, path), "--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Usage: n[\s\S]*\n\nExample:\n {2}\$ .+\n$/);
  });
});

test("an unknown flag, a word that belongs to none and a number that is none end with 2 and one line", async () => {
  for (const words of [["--bogus"], ["bogus"], ["--rounds", "many"]]) {
    const { code, stdout, stderr } = await run(process.execPath, [join(folder, "latency/main.js"), ...words]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^[^\n]*; see --help\n$/);
  }
});
