/** The table of kinds and proto/ashlar/v1/policy.proto say the same. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadSync } from "@grpc/proto-loader";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { kinds } from "../../../core/kinds/table.js";
import { buildSnapshot } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { refuseUnknownFields } from "../../../core/wire/strict.js";
import { Unit } from "../../../proto/gen/ashlar/v1/policy.js";
import { objectsByKind, policyOfEveryKind } from "../../support/policy-arbitrary.js";

interface FieldDescriptor {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly typeName: string;
}

const definition = loadSync("ashlar/v1/policy.proto", { includeDirs: ["proto"] }) as Readonly<
  Record<string, { readonly type?: { readonly name: string; readonly field?: readonly FieldDescriptor[] } }>
>;
const fieldsOf = (message: string): readonly FieldDescriptor[] => definition[`ashlar.v1.${message}`]?.type?.field ?? [];
const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());

/** What each of the golden policies holds. */
const golden = [
  "every-kind.yaml",
  "traffic.yaml",
  "edge.yaml",
  "egress.yaml",
  "journal.yaml",
  "replay.yaml",
  "telemetry.yaml",
];
const policies = golden.map((name) => {
  const file = join("test", "golden", "snapshots", name);
  return parsePolicyFiles([{ name: file, content: readFileSync(file, "utf8") }]).objects;
});
const objects = policies.flat();
const units = policies.flatMap((parsed) => buildSnapshot(parsed.map(({ object }) => object)).units);

test("a unit's message has a field for each kind, by the name and number that the table says", () => {
  const stated = kinds.map(({ key, number, kind }) => [key, number, kind]);
  const described = fieldsOf("Unit").map(({ name, number, typeName }) => [camel(name), number, typeName]);
  expect([["name", 1, ""], ...stated]).toEqual(described);
});

test("the generated code reads and writes the very bytes that the table says", () => {
  for (const { bytes } of units) {
    const message = Unit.decode(bytes);
    refuseUnknownFields(message, "unit");
    expect(Buffer.from(Unit.encode(message).finish()).toString("hex")).toBe(Buffer.from(bytes).toString("hex"));
  }
});

/** The fields of all messages of policy, "MESSAGE.FIELD", that no unit here sets. */
function unusedFields(encoded: readonly { readonly bytes: Uint8Array }[]): readonly string[] {
  const seen = new Set<string>();
  const look = (message: string, value: Readonly<Record<string, unknown>>): void => {
    for (const { name, typeName, type } of fieldsOf(message)) {
      const found = value[camel(name)];
      if (found === undefined || found === 0 || found === "" || (Array.isArray(found) && found.length === 0)) continue;
      seen.add(`${message}.${name}`);
      if (type !== "TYPE_MESSAGE") continue;
      for (const one of Array.isArray(found) ? found : [found]) look(typeName, one);
    }
  };
  for (const { bytes } of encoded) look("Unit", Unit.decode(bytes) as unknown as Readonly<Record<string, unknown>>);
  const messages = Object.values(definition).flatMap(({ type }) => (type?.field === undefined ? [] : [type.name]));
  return messages
    .flatMap((message) => fieldsOf(message).map(({ name }) => `${message}.${name}`))
    .filter((field) => !seen.has(field));
}

test("every field of every message is used in the golden policy, so that its bytes are fixed", () => {
  expect(unusedFields(units)).toEqual([]);
});

test("property tests draw objects of every kind, and every field of them", () => {
  expect(Object.keys(objectsByKind)).toEqual(kinds.map(({ kind }) => kind));
  const drawn = fc.sample(policyOfEveryKind, { numRuns: 300, seed: 1 });
  expect(unusedFields(drawn.flatMap((each) => buildSnapshot(each).units))).toEqual([]);
});

test("the golden policy has an object of every kind", () => {
  expect(kinds.map(({ kind }) => kind).filter((kind) => !objects.some(({ object }) => object.kind === kind))).toEqual(
    [],
  );
});
