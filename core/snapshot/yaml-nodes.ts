/**
 * Tells the nodes of a parsed YAML document apart, like the functions of the same names in the package `yaml`. The
 * kinds of policy need nothing else of that package, so proxies, which never read a policy file, do not load its 72
 * modules.
 */
import type { Alias, Scalar, YAMLMap, YAMLSeq } from "yaml";

// the package marks its nodes with symbols of the global registry, so that several copies of it work together
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
