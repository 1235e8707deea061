import { describe, expect, test } from "@jest/globals";
import * as yaml from "yaml";
import { isAlias, isMap, isScalar, isSeq } from "../../../core/snapshot/yaml-nodes.js";

describe("the nodes of a YAML document", () => {
  const document = yaml.parseDocument("a: &x [1, { b: 2 }]\nc: *x\n");
  const nodes: unknown[] = [document, null, undefined, "text", 7, {}, [], new yaml.Pair("k", "v")];
  yaml.visit(document, (_key, node) => void nodes.push(node));

  test("are told apart as the package tells them apart", () => {
    const told = nodes.map((node) => [isAlias(node), isMap(node), isScalar(node), isSeq(node)]);
    expect(told).toEqual(nodes.map((n) => [yaml.isAlias(n), yaml.isMap(n), yaml.isScalar(n), yaml.isSeq(n)]));
    for (const kind of [0, 1, 2, 3]) expect(told.some((each) => each[kind])).toBe(true);
  });
});
