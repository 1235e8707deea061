/** The map of docs/ARCHITECTURE.md names every folder of code, and only folders that exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";

const parts = ["cli", "console", "control-plane", "core", "data-plane", "runtime", "sdk"];
const page = readFileSync("docs/ARCHITECTURE.md", "utf8");
const [, map = ""] = /^## Map\n(.*?)^## /ms.exec(page) ?? [];

test("the map has every folder of code", () => {
  const folders = parts.flatMap((part) =>
    readdirSync(part, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== "dist" && entry.name !== "node_modules")
      .map(({ name }) => `${part}/${name}/`),
  );
  const named = [...map.matchAll(/`([\w/-]+\/)`/g)].map((match) => match[1] ?? "");
  expect([...folders, ...parts.map((part) => `${part}/`)].filter((folder) => !named.includes(folder))).toEqual([]);
  expect(named.filter((folder) => !existsSync(folder))).toEqual([]);
  expect(named.filter((folder, place) => named.indexOf(folder) !== place)).toEqual([]);
});
