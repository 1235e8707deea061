/**
 * CEL's operators for the types of values that occur in policy. Whole numbers are 64 bits wide and never wrap around.
 */
import { type Frame, textLengthMax, tooLongText, tooMuchWork } from "./frame.js";
import { binary, type Overload, unary, whereAgreeing } from "./overload.js";
import { durationOf, timestampOf } from "./time.js";
import {
  areEqual,
  compareTexts,
  Failure,
  join,
  type Outcome,
  type Type,
  types,
  type Value,
  type ValueList,
} from "./values.js";

const minInt = -(2n ** 63n);
const maxInt = 2n ** 63n - 1n;
const overflow = new Failure("a whole number does not fit 64 bits");
const outOfRange = new Failure("a time or duration is out of range");
const divisionByZero = new Failure("division by zero");

/** Returns the number, or a Failure if it does not fit into 64 bits. */
export function int(value: bigint): Outcome {
  return value < minInt || value > maxInt ? overflow : value;
}

const arithmetic = (ints: (a: bigint, b: bigint) => Outcome, doubles: (a: number, b: number) => number): Overload[] => [
  binary("int", "int", types.int, ints),
  binary("double", "double", types.double, doubles),
];

type Comparison = (order: number) => boolean;

/** NaN has no order, so doubles are compared with JavaScript's own operators. */
const ordered = (
  comparison: Comparison,
  numbers: (a: number | bigint, b: number | bigint) => boolean,
): readonly Overload[] => [
  binary("int", "int", types.bool, numbers),
  binary("double", "double", types.bool, numbers),
  binary("int", "double", types.bool, (a, b) => numbers(Number(a), b)),
  binary("double", "int", types.bool, (a, b) => numbers(a, Number(b))),
  binary("string", "string", types.bool, (a, b, frame) =>
    frame.spendText(Math.min(a.length, b.length)) ? comparison(compareTexts(a, b)) : tooMuchWork,
  ),
  binary("bool", "bool", types.bool, (a, b) => comparison(Number(a) - Number(b))),
  binary("timestamp", "timestamp", types.bool, (a, b) => numbers(a.nanos, b.nanos)),
  binary("duration", "duration", types.bool, (a, b) => numbers(a.nanos, b.nanos)),
];

/**
 * Returns whether equality is as `wanted`, or a Failure if the values are nested so deeply that the steps are used up.
 */
const equality = (wanted: boolean) => {
  return binary("any", "any", whereAgreeing(types.bool), (a, b, frame) => {
    const equal = areEqual(a, b, frame);
    return frame.spend(0) ? equal === wanted : tooMuchWork;
  });
};

function isAmong(value: Value, list: ValueList, frame: Frame): Outcome {
  if (!frame.spend(list.length)) return tooMuchWork;
  const found = list.some((item) => areEqual(item, value, frame));
  return frame.spend(0) ? found : tooMuchWork;
}

const elementType = ([a, b]: readonly Type[]): Type | undefined => {
  if (b === undefined || a === undefined) return undefined;
  const element = "of" in b ? b.of : types.dyn;
  return whereAgreeing(types.bool)([a, element]);
};

const concatenated = ([a, b]: readonly Type[]): Type => join(a ?? types.dyn, b ?? types.dyn);

/** The operators by the names that the parser gives them. */
export const operators: ReadonlyMap<string, readonly Overload[]> = new Map<string, readonly Overload[]>([
  ["_==_", [equality(true)]],
  ["_!=_", [equality(false)]],
  [
    "_<_",
    ordered(
      (order) => order < 0,
      (a, b) => a < b,
    ),
  ],
  [
    "_<=_",
    ordered(
      (order) => order <= 0,
      (a, b) => a <= b,
    ),
  ],
  [
    "_>_",
    ordered(
      (order) => order > 0,
      (a, b) => a > b,
    ),
  ],
  [
    "_>=_",
    ordered(
      (order) => order >= 0,
      (a, b) => a >= b,
    ),
  ],
  ["!_", [unary("bool", types.bool, (a) => !a)]],
  ["-_", [unary("int", types.int, (a) => int(-a)), unary("double", types.double, (a) => -a)]],
  [
    "_+_",
    [
      ...arithmetic(
        (a, b) => int(a + b),
        (a, b) => a + b,
      ),
      binary("string", "string", types.string, (a, b, frame) => {
        if (a.length + b.length > textLengthMax) return tooLongText;
        return frame.spendText(a.length + b.length) ? a + b : tooMuchWork;
      }),
      binary("list", "list", concatenated, (a, b, frame) =>
        frame.spend(a.length + b.length) ? [...a, ...b] : tooMuchWork,
      ),
      binary("timestamp", "duration", types.timestamp, (a, b) => timestampOf(a.nanos + b.nanos) ?? outOfRange),
      binary("duration", "timestamp", types.timestamp, (a, b) => timestampOf(a.nanos + b.nanos) ?? outOfRange),
      binary("duration", "duration", types.duration, (a, b) => durationOf(a.nanos + b.nanos) ?? outOfRange),
    ],
  ],
  [
    "_-_",
    [
      ...arithmetic(
        (a, b) => int(a - b),
        (a, b) => a - b,
      ),
      binary("timestamp", "timestamp", types.duration, (a, b) => durationOf(a.nanos - b.nanos) ?? outOfRange),
      binary("timestamp", "duration", types.timestamp, (a, b) => timestampOf(a.nanos - b.nanos) ?? outOfRange),
      binary("duration", "duration", types.duration, (a, b) => durationOf(a.nanos - b.nanos) ?? outOfRange),
    ],
  ],
  [
    "_*_",
    arithmetic(
      (a, b) => int(a * b),
      (a, b) => a * b,
    ),
  ],
  [
    "_/_",
    arithmetic(
      (a, b) => (b === 0n ? divisionByZero : int(a / b)),
      (a, b) => a / b,
    ),
  ],
  ["_%_", [binary("int", "int", types.int, (a, b) => (b === 0n ? divisionByZero : a % b))]],
  ["@in", [binary("any", "list", elementType, isAmong), binary("string", "map", types.bool, (a, b) => b.has(a))]],
]);
