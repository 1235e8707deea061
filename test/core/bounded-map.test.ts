import { expect, test } from "@jest/globals";
import { BoundedMap } from "../../core/bounded-map.js";

test("of too many entries the oldest goes", () => {
  const map = new BoundedMap<string, number>(2);
  map.set("a", 1).set("b", 2).set("c", 3);
  expect([...map]).toEqual([
    ["b", 2],
    ["c", 3],
  ]);
});

test("an entry that is set again is the newest, and costs no other its place", () => {
  const map = new BoundedMap<string, number>(2);
  map.set("a", 1).set("b", 2).set("a", 3);
  expect([...map.keys()]).toEqual(["b", "a"]);
  map.set("c", 4);
  expect([...map.keys()]).toEqual(["a", "c"]);
});

test("reading changes no order", () => {
  const map = new BoundedMap<string, number>(2).set("a", 1).set("b", 2);
  expect([map.get("a"), map.has("a")]).toEqual([1, true]);
  expect([...map.set("c", 3).keys()]).toEqual(["b", "c"]);
});

test("keys and values may be undefined", () => {
  const map = new BoundedMap<string | undefined, undefined>(1).set(undefined, undefined).set("a", undefined);
  expect([...map.keys()]).toEqual(["a"]);
});
