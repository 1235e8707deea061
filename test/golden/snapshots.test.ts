/** The bytes, digests, files and schema that policy has; UPDATE_GOLDEN=1 writes them anew. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { digestOf } from "../../core/digest.js";
import type { PolicyObject } from "../../core/model.js";
import { buildSnapshot } from "../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { renderYaml } from "../../core/snapshot/render.js";
import { policySchema } from "../../core/snapshot/schema.js";
import { assertions, policy } from "../support/policy-arbitrary.js";

const folder = join("test", "golden", "snapshots");

function expectGolden(name: string, found: string): void {
  const file = join(folder, name);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, found);
  expect(found).toBe(readFileSync(file, "utf8"));
}

function describeSnapshot(objects: readonly PolicyObject[]): string {
  const { list, units } = buildSnapshot(objects);
  const lines = units.map(
    ({ unit, digest, bytes }) => `unit ${unit.name} ${digest}\n${Buffer.from(bytes).toString("hex")}\n`,
  );
  return `snapshot ${list.digest}\n${lines.join("")}\n${renderYaml(units.map(({ unit }) => unit))}`;
}

function objectsIn(paths: readonly string[]): readonly PolicyObject[] {
  const files = paths.map((name) => ({ name, content: readFileSync(name, "utf8") }));
  const { objects, findings } = parsePolicyFiles(files);
  expect(findings).toEqual([]);
  return objects.map(({ object }) => object);
}

describe("policy keeps its bytes and digests", () => {
  test("with every kind and every field", () => {
    expectGolden("every-kind.txt", describeSnapshot(objectsIn([join(folder, "every-kind.yaml")])));
  });

  test("with everything that is about gateways", () => {
    expectGolden("edge.txt", describeSnapshot(objectsIn([join(folder, "edge.yaml")])));
  });

  test("with what is outside the mesh", () => {
    expectGolden("egress.txt", describeSnapshot(objectsIn([join(folder, "egress.yaml")])));
  });

  test("with everything that is about traffic", () => {
    expectGolden("traffic.txt", describeSnapshot(objectsIn([join(folder, "traffic.yaml")])));
  });

  test("with journals", () => {
    expectGolden("journal.txt", describeSnapshot(objectsIn([join(folder, "journal.yaml")])));
  });

  test("with private fields by message type", () => {
    expectGolden("private-by-type.txt", describeSnapshot(objectsIn([join(folder, "private-by-type.yaml")])));
  });

  test("who may replay a journal, and clients whose mark counts", () => {
    expectGolden("replay.txt", describeSnapshot(objectsIn([join(folder, "replay.yaml")])));
  });

  test("with what may be about a service or the mesh", () => {
    expectGolden("telemetry.txt", describeSnapshot(objectsIn([join(folder, "telemetry.yaml")])));
  });

  test("as the shop has it", () => {
    const shop = join("examples", "shop", "policy");
    const names = readdirSync(shop).filter((name) => name.endsWith(".yaml") && !name.endsWith(".test.yaml"));
    expectGolden("shop.txt", describeSnapshot(objectsIn(names.map((name) => join(shop, name)))));
  });

  test("whatever it says (300 policies of one seed)", () => {
    const drawn = fc.sample(fc.tuple(policy, assertions), { numRuns: 300, seed: 20261128 });
    const digests = drawn.map(([objects, claims]) => {
      const { list, units } = buildSnapshot([...objects, ...claims]);
      return `${list.digest} ${digestOf(Buffer.from(renderYaml(units.map(({ unit }) => unit))))}`;
    });
    expectGolden("drawn.txt", `${digestOf(Buffer.from(digests.join("\n")))}\n`);
  });

  test("and the schema for editors stays", () => {
    expectGolden("schema.json.txt", `${JSON.stringify(policySchema(), null, 1)}\n`);
  });
});
