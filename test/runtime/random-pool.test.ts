import { expect, test } from "@jest/globals";
import { pooledRandomBytes } from "../../runtime/random-pool.js";

test("no bytes are given twice, and what was given stays as it is", () => {
  const given = Array.from({ length: 1000 }, () => pooledRandomBytes(16));
  const texts = given.map((bytes) => bytes.toString("hex"));
  pooledRandomBytes(5000);
  expect(new Set(texts).size).toBe(given.length);
  expect(given.map((bytes) => bytes.toString("hex"))).toEqual(texts);
});

test("more bytes than are drawn at a time are drawn for their caller", () => {
  expect(pooledRandomBytes(5000)).toHaveLength(5000);
});
