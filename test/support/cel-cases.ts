/** The test cases of CEL's own specification, translated to our conditions. */
import type { Type as CelType } from "@bufbuild/cel-spec/cel/expr/checked_pb.js";
import { Type_PrimitiveType, Type_WellKnownType } from "@bufbuild/cel-spec/cel/expr/checked_pb.js";
import type { Value as CelValue } from "@bufbuild/cel-spec/cel/expr/value_pb.js";
import { getConformanceSuite, type IncrementalTestSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { anyUnpack, DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Declaration, Scope } from "../../core/policy/condition/scope.js";
import {
  Duration,
  listOf,
  mapOf,
  Timestamp,
  type Type,
  types,
  type Value,
} from "../../core/policy/condition/values.js";

export interface CelCase {
  /** The case's name: "file/section/name". */
  readonly name: string;
  readonly expression: string;
  /** The values that the case sees. undefined: it needs values or names that conditions do not have. */
  readonly scope: Scope | undefined;
  readonly expected: { readonly kind: "value"; readonly value: Value } | { readonly kind: "failure" } | undefined;
}

/** Thrown for a value that conditions cannot hold. */
class Unsupported extends Error {}

export function celCases(): readonly CelCase[] {
  return casesIn(getConformanceSuite(), "");
}

function casesIn(suite: IncrementalTestSuite, path: string): readonly CelCase[] {
  const own = suite.tests.map(({ original, name }): CelCase => {
    const { resultMatcher } = original;
    const scope = original.container === "" ? orUndefined(() => scopeOf(original)) : undefined;
    const expected = orUndefined((): CelCase["expected"] => {
      switch (resultMatcher.case) {
        case "value":
          return { kind: "value", value: toValue(resultMatcher.value) };
        case "evalError":
        case "anyEvalErrors":
          return { kind: "failure" };
        case undefined:
          return { kind: "value", value: true };
        default:
          return undefined;
      }
    });
    return { name: `${path}${name}`, expression: original.expr, scope, expected };
  });
  return [...own, ...suite.suites.flatMap((each) => casesIn(each, `${path}${each.name}/`))];
}

function orUndefined<Result>(make: () => Result): Result | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

type Original = IncrementalTestSuite["tests"][number]["original"];

function scopeOf({ bindings, typeEnv }: Original): Scope {
  const declared = new Map(
    typeEnv.map(({ name, declKind }) => [name, declKind.case === "ident" ? declKind.value.type : undefined]),
  );
  const scope = new Map<string, Declaration>();
  for (const [name, { kind }] of Object.entries(bindings)) {
    if (kind.case !== "value") throw new Unsupported();
    const value = toValue(kind.value);
    const type = declared.has(name) ? toType(declared.get(name)) : types.dyn;
    scope.set(name, { kind: "value", type, read: undefined, evaluate: () => value });
  }
  return scope;
}

function toValue({ kind }: CelValue): Value {
  switch (kind.case) {
    case "boolValue":
    case "int64Value":
    case "doubleValue":
    case "stringValue":
      return kind.value;
    case "nullValue":
      return null;
    case "listValue":
      return kind.value.values.map(toValue);
    case "mapValue":
      return new Map(
        kind.value.entries.map(({ key, value }) => {
          if (key?.kind.case !== "stringValue" || value === undefined) throw new Unsupported();
          return [key.kind.value, toValue(value)];
        }),
      );
    case "objectValue": {
      const timestamp = anyUnpack(kind.value, TimestampSchema);
      if (timestamp !== undefined) return new Timestamp(timestamp.seconds * 1_000_000_000n + BigInt(timestamp.nanos));
      const duration = anyUnpack(kind.value, DurationSchema);
      if (duration !== undefined) return new Duration(duration.seconds * 1_000_000_000n + BigInt(duration.nanos));
      throw new Unsupported();
    }
    default:
      throw new Unsupported();
  }
}

function toType(type: CelType | undefined): Type {
  const kind = type?.typeKind;
  switch (kind?.case) {
    case "dyn":
      return types.dyn;
    case "null":
      return types.null;
    case "primitive": {
      if (kind.value === Type_PrimitiveType.BOOL) return types.bool;
      if (kind.value === Type_PrimitiveType.INT64) return types.int;
      if (kind.value === Type_PrimitiveType.DOUBLE) return types.double;
      if (kind.value === Type_PrimitiveType.STRING) return types.string;
      throw new Unsupported();
    }
    case "wellKnown": {
      if (kind.value === Type_WellKnownType.TIMESTAMP) return types.timestamp;
      if (kind.value === Type_WellKnownType.DURATION) return types.duration;
      throw new Unsupported();
    }
    case "listType":
      return listOf(toType(kind.value.elemType));
    case "mapType":
      return mapOf(toType(kind.value.valueType));
    default:
      throw new Unsupported();
  }
}
