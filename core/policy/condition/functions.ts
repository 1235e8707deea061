/** The functions and methods of CEL that conditions may call. docs/policy-conditions.md lists what is missing. */
import { textLengthMax, tooLongText, tooMuchWork } from "./frame.js";
import { int } from "./operators.js";
import { binary, type Overload, unary } from "./overload.js";
import {
  dateOf,
  durationFields,
  parseDuration,
  parseOffset,
  parseTimestamp,
  renderDuration,
  renderTimestamp,
  timestampFields,
  timestampOf,
  wholeSeconds,
} from "./time.js";
import { Failure, type Outcome, types } from "./values.js";

const noInt = new Failure("the text is not a whole number");
const noDouble = new Failure("the text is not a number");
const noBool = new Failure('the text is neither "true" nor "false"');
const noTimestamp = new Failure("the text is not a time such as 2026-01-31T08:00:00Z");
const noDuration = new Failure("the text is not a duration such as 90s or 1h30m");
const noOffset = new Failure("the time zone is neither UTC nor an offset such as +02:00");
const doubleTooLarge = new Failure("the number does not fit a whole number of 64 bits");
const truths: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "true", "TRUE", "True"].map((text) => [text, true] as const),
  ...["0", "f", "false", "FALSE", "False"].map((text) => [text, false] as const),
]);

function intOfDouble(value: number): Outcome {
  return value > -(2 ** 63) && value < 2 ** 63 ? BigInt(Math.trunc(value)) : doubleTooLarge;
}

function lengthOf(text: string): bigint {
  let count = 0;
  for (const _ of text) count += 1;
  return BigInt(count);
}

const sizes: readonly Overload[] = [
  unary("string", types.int, (text, frame) => (frame.spendText(text.length) ? lengthOf(text) : tooMuchWork)),
  unary("list", types.int, (list) => BigInt(list.length)),
  unary("map", types.int, (map) => BigInt(map.size)),
];

const search = (call: (text: string, part: string) => boolean): readonly Overload[] => [
  binary("string", "string", types.bool, (text, part, frame) =>
    frame.spendText(text.length + part.length) ? call(text, part) : tooMuchWork,
  ),
];

/** Functions that are called as name(argument). */
export const functions: ReadonlyMap<string, readonly Overload[]> = new Map<string, readonly Overload[]>([
  ["size", sizes],
  ["dyn", [unary("any", types.dyn, (value) => value)]],
  ["bool", [unary("bool", types.bool, (a) => a), unary("string", types.bool, (text) => truths.get(text) ?? noBool)]],
  [
    "int",
    [
      unary("int", types.int, (a) => a),
      unary("double", types.int, intOfDouble),
      unary("string", types.int, (text) => (/^[+-]?\d{1,19}$/.test(text) ? int(BigInt(text.replace("+", ""))) : noInt)),
      unary("timestamp", types.int, (a) => wholeSeconds(a.nanos)),
    ],
  ],
  [
    "double",
    [
      unary("double", types.double, (a) => a),
      unary("int", types.double, (a) => Number(a)),
      unary("string", types.double, (text) =>
        /^[+-]?(\d{1,50}(\.\d{0,50})?|\.\d{1,50})([eE][+-]?\d{1,4})?$/.test(text) ? Number(text) : noDouble,
      ),
    ],
  ],
  [
    "string",
    [
      unary("string", types.string, (a) => a),
      unary("int", types.string, (a) => a.toString()),
      unary("double", types.string, (a) => a.toString()),
      unary("bool", types.string, (a) => a.toString()),
      unary("timestamp", types.string, renderTimestamp),
      unary("duration", types.string, renderDuration),
    ],
  ],
  [
    "timestamp",
    [
      unary("timestamp", types.timestamp, (a) => a),
      unary("string", types.timestamp, (text) => parseTimestamp(text) ?? noTimestamp),
      unary("int", types.timestamp, (seconds) => timestampOf(seconds * 1_000_000_000n) ?? noTimestamp),
    ],
  ],
  [
    "duration",
    [
      unary("duration", types.duration, (a) => a),
      unary("string", types.duration, (text) => parseDuration(text) ?? noDuration),
    ],
  ],
]);

function fieldMethods(): [string, readonly Overload[]][] {
  return Object.entries(timestampFields).map(([name, fieldOf]) => {
    const ofDuration = durationFields[name];
    return [
      name,
      [
        unary("timestamp", types.int, ({ nanos }) => BigInt(fieldOf(dateOf(nanos, 0)))),
        binary("timestamp", "string", types.int, ({ nanos }, zone) => {
          const offset = parseOffset(zone);
          return offset === undefined ? noOffset : BigInt(fieldOf(dateOf(nanos, offset)));
        }),
        ...(ofDuration === undefined ? [] : [unary("duration", types.int, ({ nanos }) => ofDuration(nanos))]),
      ],
    ];
  });
}

/**
 * Methods that are called as value.name(argument). `matches` is not among them: its pattern is compiled with the
 * condition.
 */
export const methods: ReadonlyMap<string, readonly Overload[]> = new Map<string, readonly Overload[]>([
  ["size", sizes],
  ["contains", search((text, part) => text.includes(part))],
  ["startsWith", search((text, part) => text.startsWith(part))],
  ["endsWith", search((text, part) => text.endsWith(part))],
  ...fieldMethods(),
]);

/** Returns the text, or a Failure if it is longer than `textLengthMax`, on which the number of steps is based. */
export function boundedText(text: string): Outcome {
  return text.length > textLengthMax ? tooLongText : text;
}
