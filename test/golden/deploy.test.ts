/** Dashboards and rules of deploy/: their expressions are PromQL, over metrics and labels that docs/metrics.md has. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { stringify } from "yaml";
import { readPanels, readRules, rulesFile } from "../support/deploy-expressions.js";

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
const panels = readPanels();
const { alerts, recorded } = readRules();
const all = [...alerts, ...recorded, ...panels];

/** The labels of each metric, from the tables of the page. */
const documented = new Map(
  [...readFileSync("docs/metrics.md", "utf8").matchAll(/^\| `(\w+)` \| \w+ \| ([^|]*)\|/gm)].map(
    ([, name = "", labels = ""]) => [name, new Set([...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? ""))],
  ),
);
const baseOf = (name: string): string => (documented.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, ""));

test.each(all)("%s: %s", (_where, expr) => {
  const used = [...expr.matchAll(/\b((?:ashlar|process)_\w+)(?:\{([^}]*)\})?/g)];
  expect(used.length).toBeGreaterThan(0);
  for (const [, name = "", matchers = ""] of used) {
    const labels = documented.get(baseOf(name));
    expect([name, labels === undefined]).toEqual([name, false]);
    for (const [, label = ""] of matchers.matchAll(/(\w+)\s*(?:=~|!=|=)/g))
      expect([name, label, labels?.has(label)]).toEqual([name, label, true]);
  }
});

test(`promtool ${hasPromtool ? "takes" : "is not installed, so it does not check"} the rules and all expressions`, () => {
  if (!hasPromtool) return;
  const folder = mkdtempSync(join(tmpdir(), "rules-"));
  try {
    const file = join(folder, "panels.yaml");
    const asRules = panels.map(([, expr], index) => ({
      record: `panel:expression:${index}`,
      expr: expr.replaceAll("$service", ".*"),
    }));
    writeFileSync(file, stringify({ groups: [{ name: "panels", rules: asRules }] }));
    execFileSync("promtool", ["check", "rules", rulesFile, file], { stdio: "pipe" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
