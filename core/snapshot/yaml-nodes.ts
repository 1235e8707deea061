/**
 * Tells the nodes of a parsed YAML document apart, as the package `yaml` does with functions of the same names. Kinds of
 * policy need only these of it, and proxies, which never read a policy file, need not hold its 72 modules for them.
 */
import type { Alias, Scalar, YAMLMap, YAMLSeq } from "yaml";

// the package's own marks, which are in the registry of symbols so that several copies of it understand each other
const mark = Symbol.for("yaml.node.type");
const alias = Symbol.for("yaml.alias");
const map = Symbol.for("yaml.map");
const scalar = Symbol.for("yaml.scalar");
const seq = Symbol.for("yaml.seq");

export function isMap<Key = unknown, Value = unknown>(node: unknown): node is YAMLMap<Key, Value> {
  return markOf(node) === map;
}

export function isSeq<Value = unknown>(node: unknown): node is YAMLSeq<Value> {
  return markOf(node) === seq;
}

export function isScalar<Value = unknown>(node: unknown): node is Scalar<Value> {
  return markOf(node) === scalar;
}

export function isAlias(node: unknown): node is Alias {
  return markOf(node) === alias;
}

function markOf(node: unknown): unknown {
  return typeof node === "object" && node !== null && mark in node ? node[mark] : undefined;
}
