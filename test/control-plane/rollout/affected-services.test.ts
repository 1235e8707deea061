import { expect, test } from "@jest/globals";
import { affectedServices } from "../../../control-plane/rollout/affected-services.js";
import type { Revision, Signed } from "../../../core/model.js";

const changed: Readonly<Record<number, readonly string[]>> = { 1: ["a", "b", "@mesh"], 2: ["a"], 3: ["c", "a"], 4: [] };
const revisions = {
  find: (number: number) =>
    changed[number] &&
    ({ body: { changes: changed[number].map((name) => ({ name })) } } as unknown as Signed<Revision>),
};

test("the services that changed between two revisions, in either direction; all where the mesh's own unit did", () => {
  expect([...(affectedServices(revisions, 1, 3) ?? [])].sort()).toEqual(["a", "c"]);
  expect([...(affectedServices(revisions, 4, 2) ?? [])].sort()).toEqual(["a", "c"]);
  expect([...(affectedServices(revisions, 3, 4) ?? [])]).toEqual([]);
  expect(affectedServices(revisions, 0, 2)).toBeUndefined();
});
