/** `ashlar test`: no server is asked, so none is started. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readPolicyFiles } from "../../cli/policy-files.js";
import { runWith } from "./fake-admin.js";

const shop = resolve(import.meta.dirname, "../../examples/shop/policy");
let folder: string;
const path = (name: string) => join(folder, name);
const run = (...argv: string[]) => runWith("/nowhere/admin.json", "", ["test", ...argv]);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ashlar-tests-"));
  mkdirSync(path("bad"));
  mkdirSync(path("only"));
  const policy = "kind: Service\nname: a\n---\nkind: Authorization\nname: r\nservice: a\nallow: [{ from: [a] }]\n";
  writeFileSync(path("policy.yaml"), policy);
  const cases = (allowed: boolean) => `cases:\n  - { name: itself, caller: a, call: a/p.P/M, allowed: ${allowed} }\n`;
  writeFileSync(path("good.test.yaml"), cases(true));
  writeFileSync(path("only/failing.test.yml"), cases(false));
  writeFileSync(path("bad/policy.yaml"), "kind: Service\nname: A\n");
  writeFileSync(path("bad/good.test.yaml"), cases(true));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the tests of examples/shop pass", async () => {
  const { code, out, error } = await run("-f", shop, "--mesh", "shop");
  expect([code, error]).toEqual([0, ""]);
  expect(out).toMatch(/ {2}ok {6}checkout charges\n(.*\n)*\n\d+ cases: \d+ passed, 0 failed\.\n$/);
});

test("a case that fails ends with 1, and says where it stands and what came instead", async () => {
  const files = ["-f", path("policy.yaml"), path("only/failing.test.yml"), path("good.test.yaml")];
  const { code, out, error } = await run(...files);
  expect([code, error]).toEqual([1, "ashlar: 1 case failed\n"]);
  expect(out).toContain(
    [
      `${path("only/failing.test.yml")}`,
      "  FAILED  itself",
      "          line 2: expected denied, got allowed by r/allow[0]",
      "          allowed by r/allow[0]",
    ].join("\n"),
  );
  expect(out).toMatch(/\n2 cases: 1 passed, 1 failed\.\n$/);
  const printed = JSON.parse((await run(...files, "-o", "json")).out);
  expect(printed).toMatchObject({ passed: 1, failed: 1, findings: [] });
  expect(printed.cases[0]).toEqual({
    name: "itself",
    file: path("only/failing.test.yml"),
    line: 2,
    passed: false,
    expected: { allowed: false },
    actual: { allowed: true, rule: "r/allow[0]", reason: "allowed by r/allow[0]" },
  });
});

test("policy with errors is not run, and ends with 1 and the findings at their places", async () => {
  const { code, out, error } = await run("-f", path("bad"));
  expect([code, out]).toEqual([1, "Not run.\n"]);
  expect(error).toContain(`${path("bad/policy.yaml")}:2:7: error: `);
});

test("no tests, no policy, no such file or no mesh are wrong use", async () => {
  for (const argv of [
    [],
    ["-f", path("policy.yaml")],
    ["-f", path("only")],
    ["-f", path("missing")],
    ["-f", shop, "--mesh", "/"],
  ])
    expect([argv, (await run(...argv)).code]).toEqual([argv, 2]);
});

test("what is applied are the policy files and not the tests beside them", async () => {
  const names = async (...paths: string[]) => (await readPolicyFiles(paths, async () => "")).map(({ name }) => name);
  expect(await names(folder)).toEqual([path("bad/policy.yaml"), path("policy.yaml")]);
  expect(await names(path("policy.yaml"), path("good.test.yaml"))).toEqual([path("policy.yaml")]);
  await expect(names(path("only"))).rejects.toMatchObject({ code: "invalid_argument" });
});
