/** Types of single values: texts, numbers, durations, and names from a closed list. */
import { durationPattern, expectedDuration, parseDurationMs, renderDuration } from "../duration.js";
import { renderNearest } from "../snapshot/nearest.js";
import { converted, text as textShape, wholeNumber as wholeNumberShape } from "../snapshot/shapes.js";
import { PolicyFault } from "./fault.js";
import { type Type, type Wire, writeTag } from "./type.js";

const itself = <Value>(value: Value): Value => value;

const textWire: Wire<string> = {
  wireType: 2,
  absent: () => "",
  write(writer, number, value) {
    if (value !== "") writeTag(writer, number, 2).string(value);
  },
  writeItem: (writer, number, value) => writeTag(writer, number, 2).string(value),
  read: (reader) => reader.string(),
};

interface TextOptions {
  /** Completes "expected …" in messages. */
  readonly expected: string;
  /** A regular expression for editors; `valid` decides. */
  readonly pattern: string;
  valid(text: string): boolean;
  /** Returns what is wrong with an invalid text, or "" if `expected` says enough. */
  hint?(text: string): string;
}

/** The type of a text. */
export function text({ expected, pattern, valid, hint = () => "" }: TextOptions): Type<string> {
  return {
    shape: textShape(expected, pattern, (value) => (valid(value) ? undefined : hint(value))),
    canonical(value) {
      if (valid(value)) return value;
      throw new PolicyFault(`${JSON.stringify(value.slice(0, 64))} is not ${expected}`);
    },
    render: itself,
    wire: textWire,
  };
}

/** The type of a text that may be left out. An absent text has the bytes of an empty one. */
export function textOrNone(
  shape: Type<string | undefined>["shape"],
  whyNot: (text: string) => string | undefined,
): Type<string | undefined> {
  return {
    shape,
    canonical(value) {
      const why = value === undefined ? undefined : whyNot(value);
      if (why !== undefined) throw new PolicyFault(why);
      return value;
    },
    render: itself,
    wire: {
      ...textWire,
      absent: () => undefined,
      write: (writer, number, value) => textWire.write(writer, number, value ?? ""),
    },
  };
}

function checkWhole(value: number, min: number, max: number, unit: string): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new PolicyFault(`${value}${unit} is not between ${min} and ${max}`);
}

/** The type of a whole number; its bytes are a uint32. */
export function wholeNumber(min: number, max: number): Type<number> {
  return {
    shape: wholeNumberShape(min, max),
    canonical: (value) => checkWhole(value, min, max, ""),
    render: itself,
    wire: {
      wireType: 0,
      absent: () => 0,
      write(writer, number, value) {
        if (value !== 0) writeTag(writer, number, 0).uint32(value);
      },
      read: (reader) => reader.uint32(),
    },
  };
}

/** The encoding of whole numbers up to 2^53 - 1 as a uint64; 0 is not written. */
export const uint64Wire: Wire<number> = {
  wireType: 0,
  absent: () => 0,
  write(writer, number, value) {
    if (value !== 0) writeTag(writer, number, 0).uint64(value);
  },
  read(reader) {
    const value = Number(reader.uint64());
    if (!Number.isSafeInteger(value)) throw new PolicyFault("a number above 2^53 - 1");
    return value;
  },
};

interface DurationOptions {
  /** The bounds in words, such as "at most 24h". */
  readonly bounds: string;
  readonly msMin: number;
  readonly msMax: number;
  /** The message for a duration below `msMin`. */
  readonly whenShort: string;
  /** True if 0 is the value of a duration that is left out. */
  readonly zeroIsNone?: boolean;
}

/** The type of a duration in whole milliseconds; its bytes are a uint64. */
export function duration({ bounds, msMin, msMax, whenShort, zeroIsNone = false }: DurationOptions): Type<number> {
  const why = (value: string): string | undefined => {
    const durationMs = parseDurationMs(value);
    if (durationMs === undefined) return "";
    if (durationMs < msMin) return whenShort;
    return durationMs > msMax ? "" : undefined;
  };
  return {
    shape: converted(textShape(expectedDuration(bounds), durationPattern, why), (value) => parseDurationMs(value) ?? 0),
    canonical: (value) => (zeroIsNone && value === 0 ? 0 : checkWhole(value, msMin, msMax, " ms")),
    render: (value) => (value === 0 ? undefined : renderDuration(value)),
    wire: uint64Wire,
  };
}

/** The type of a name from a closed list, encoded as the number of a protobuf enum; 0 is never sent. */
export function oneOf<Name extends string>(values: Readonly<Record<Name, number>>): Type<Name> {
  const names = Object.keys(values) as Name[];
  const find = (text: string): Name | undefined => names.find((name) => name === text);
  return {
    shape: converted(
      textShape(names.map((name) => JSON.stringify(name)).join(" or "), `^(${names.join("|")})$`, (value) =>
        find(value) === undefined ? renderNearest(value, names).replace(/^; /, "") : undefined,
      ),
      (value) => find(value) as Name, // the text was checked before
    ),
    canonical(value) {
      const name = find(value);
      if (name !== undefined) return name;
      throw new PolicyFault(`${JSON.stringify(value) ?? "nothing"} is none of ${names.join(", ")}`);
    },
    render: itself,
    wire: {
      wireType: 0,
      absent: () => undefined as unknown as Name, // refused by `canonical`, as a value that is not there has to be
      write(writer, number, value) {
        writeTag(writer, number, 0).int32(values[value]);
      },
      read(reader) {
        const value = reader.int32();
        const name = names.find((each) => values[each] === value);
        if (name !== undefined) return name;
        throw new PolicyFault(`unknown value ${value}; a newer version may know it`);
      },
    },
  };
}

/** A constant text that is written in files only and takes no bytes in a unit. */
export function constant<const Text extends string>(only: Text): Type<Text> {
  return {
    shape: converted(
      textShape(only, `^${only}$`, (value) => (value === only ? undefined : "")),
      () => only,
    ),
    canonical: () => only,
    render: itself,
    wire: {
      wireType: 0,
      absent: () => only,
      write: () => undefined,
      read() {
        throw new PolicyFault("unknown field 0");
      },
    },
  };
}

/** The type of a value that may be absent. An absent value has no bytes. */
export function orNone<Value>(type: Type<Value>): Type<Value | undefined> {
  return {
    shape: type.shape,
    canonical: (value) => (value === undefined ? undefined : type.canonical(value)),
    render: (value) => (value === undefined ? undefined : type.render(value)),
    wire: {
      wireType: type.wire.wireType,
      absent: () => undefined,
      write(writer, number, value) {
        if (value !== undefined) type.wire.write(writer, number, value);
      },
      read: (reader, before) => type.wire.read(reader, before ?? type.wire.absent()),
    },
  };
}
