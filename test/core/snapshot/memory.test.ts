/** What is remembered between two publications changes no answer, and spares the work. */
import { expect, test } from "@jest/globals";
import { buildSnapshot } from "../../../core/snapshot/build.js";
import { checkPolicy } from "../../../core/snapshot/check.js";
import { FileMemory, parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

const fileOf = (index: number, caller = "s-0", extra = "") => ({
  name: `s-${index}.yaml`,
  content: `kind: Service\nname: s-${index}\n---\nkind: Authorization\nname: a-${index}\nservice: s-${index}\nallow:\n  - from: [${caller}]\n${extra}`,
});
const files = Array.from({ length: 20 }, (_, index) => fileOf(index));

const digestsOf = (given: typeof files, memory?: FileMemory) => {
  const { objects, findings } = parsePolicyFiles(given, memory);
  expect([...findings, ...checkPolicy(objects, { mesh: "m" })]).toEqual([]);
  return buildSnapshot(objects.map(({ object }) => object));
};

test("the same files give the same objects, units and bytes; one that changed changes its own unit alone", () => {
  const memory = new FileMemory();
  const first = digestsOf(files, memory);
  const again = digestsOf(files, memory);
  expect(again.units.filter((unit, index) => unit !== first.units[index]).map(({ unit }) => unit.name)).toEqual([
    "@mesh",
  ]);
  const changed = files.with(7, fileOf(7, "s-3"));
  const after = digestsOf(changed, memory);
  expect(after.list.digest).toBe(digestsOf(changed).list.digest);
  expect(after.list.digest).not.toBe(first.list.digest);
  const others = after.units.filter(({ unit }) => unit.name !== "s-7" && unit.name !== "@mesh");
  for (const unit of others) expect(first.units).toContain(unit);
  expect(digestsOf(files, memory).list.digest).toBe(first.list.digest);
});

test("a file with findings is read anew, under another name too, and what is there twice is found all the same", () => {
  const memory = new FileMemory();
  const broken = fileOf(1, "s-0", "  - form: [s-0]\n");
  const findingsOf = (given: typeof files) => parsePolicyFiles(given, memory).findings;
  expect(findingsOf([broken])).toHaveLength(2);
  expect(findingsOf([broken])).toHaveLength(2);
  expect(findingsOf([files[0] ?? broken])).toEqual([]);
  const twice = findingsOf([files[0] ?? broken, { ...fileOf(0), name: "copy.yaml" }]);
  expect(twice.map(({ file, message }) => `${file}: ${message}`)).toEqual([
    "copy.yaml: Service s-0 is there already: s-0.yaml:1:1",
    "copy.yaml: Authorization a-0 is there already: s-0.yaml:4:1",
  ]);
});
