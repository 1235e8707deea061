import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ConfigReader } from "../../runtime/config.js";
import { readConfigFile } from "../../runtime/config-file.js";

function read(file: Record<string, unknown>): void {
  const reader = new ConfigReader({ flags: {}, env: {}, file });
  reader.hostPort("listen");
  reader.text("data");
  reader.list("label");
  reader.knows("token");
  reader.throwIfInvalid();
}

describe("settings from a file", () => {
  test("a setting that nobody knows is refused, with the nearest that is known", () => {
    expect(() => read({ listn: "127.0.0.1:1" })).toThrow('--config: unknown setting "listn"; did you mean "listen"?');
    expect(() => read({ zzzzzz: 1, token: "t" })).toThrow(/^--config: unknown setting "zzzzzz"$/);
  });

  test("an object is no value, a list is one only where several make sense, and all is told at once", () => {
    expect(() => read({ label: ["a=b", "c=d"], data: "d", listen: null })).not.toThrow();
    const wrong = { data: { a: 1 }, listen: ["x"], label: [{ a: 1 }] };
    expect(() => read(wrong)).toThrow(
      [
        '--config: data: expected one value, got {"a":1}',
        '--config: listen: expected one value, got ["x"]',
        '--config: label: expected a value or a list of values, got [{"a":1}]',
      ].join("\n"),
    );
  });
});

describe("the settings file", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "config-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test("--config names it, else ASHLAR_CONFIG; without either there is none", async () => {
    const [one, two] = [join(dir, "one.yaml"), join(dir, "two.json")];
    writeFileSync(one, "data: one");
    writeFileSync(two, '{"data": "two"}');
    expect(await readConfigFile({ flags: { config: one }, env: { ASHLAR_CONFIG: two } })).toEqual({ data: "one" });
    expect(await readConfigFile({ flags: {}, env: { ASHLAR_CONFIG: two } })).toEqual({ data: "two" });
    expect(await readConfigFile({ flags: {}, env: {} })).toEqual({});
  });

  test("one that is not there or is no mapping is named", async () => {
    const missing = join(dir, "missing.yaml");
    const reading = readConfigFile({ flags: { config: missing }, env: {} });
    await expect(reading).rejects.toThrow(`--config ${missing}: there is no such file`);
    writeFileSync(missing, "- a");
    await expect(readConfigFile({ flags: { config: missing }, env: {} })).rejects.toThrow("a mapping of settings");
  });
});
